"""The description of a flow's run on MLflow's page: why it failed, its chart, and where its stages' runs are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from latent_core.store import ArtifactRef, Manifest
from tasks.tracking.curves import PREFIX, condition_of
from tasks.tracking.journal import Journal, JournalEntry
from tasks.tracking.parameters import LONGEST_TAG, shortened

_LONGEST_REASON = 1000  # characters in the description; the tag has more
_MOST_LINES = 50  # of a chart, which has every run's id in its address


def note(
    journal: Journal,
    experiment_id: str,
    found: Mapping[JournalEntry, Manifest],
    logged: Mapping[ArtifactRef, str],
    shown: Sequence[str],
) -> str:
    """Markdown of at most 8,000 characters; lines that do not fit are counted, and stages.json has them all.

    `found` are evaluations, `shown` the runs of curves, `logged` those of stages.
    """
    lines = []
    if journal.reason:
        lines += [f"**{journal.status.capitalize()}**: {shortened(_on_one_line(journal.reason), _LONGEST_REASON)}", ""]
    if shown:
        drawn = shown[:_MOST_LINES]
        left = f", the first {len(drawn)} of {len(shown)}" if len(drawn) < len(shown) else ""
        link = f"[Accuracy over ratio]({_chart(experiment_id, drawn)})"
        lines += [f"{link}: one line for each model and way of asking{left}; the step is the ratio in percent.", ""]
    hits = sum(entry.cached for entry in journal.stages)
    lines += [f"{len(journal.stages)} stages, of which the store had {hits}.", ""]
    if journal.stages:
        lines += ["| stage | from | accuracy | run |", "|---|---|---|---|"]
    rows = [_row(entry, found.get(entry), logged.get(entry.ref), experiment_id) for entry in journal.stages]
    return _fitted(lines, rows)


def _row(entry: JournalEntry, manifest: Manifest | None, run_id: str | None, experiment_id: str) -> str:
    accuracy = ""
    if manifest is not None and condition_of(entry, manifest) is not None:
        accuracy = f"{100 * manifest.content.metrics['accuracy']['value']:.1f} %"
    source = "store" if entry.cached else "computed"
    link = f"[{run_id[:8]}](#/experiments/{experiment_id}/runs/{run_id})" if run_id else "not logged"
    return f"| {_on_one_line(f'{entry.stage} {entry.label}')} | {source} | {accuracy} | {link} |"


def _chart(experiment_id: str, run_ids: Sequence[str]) -> str:
    """MLflow's page of one metric of several runs, over the step."""
    accuracy = f"{PREFIX}/accuracy"
    chosen: dict[str, Any] = {
        "runs": run_ids,
        "metric": accuracy,
        "experiments": [experiment_id],
        "plot_metric_keys": [accuracy],
    }
    chosen |= {"plot_layout": {"autosize": True, "xaxis": {}, "yaxis": {}}}
    chosen |= {"deselected_curves": [], "last_linear_y_axis_range": []}
    fields = [f"{name}={quote(json.dumps(value, separators=(',', ':')), safe='')}" for name, value in chosen.items()]
    return f"#/metric?{'&'.join(fields)}&x_axis=step&y_axis_scale=linear&line_smoothness=1&show_point=true"


def _fitted(lines: Sequence[str], rows: Sequence[str]) -> str:
    text = "\n".join(lines)
    for number, row in enumerate(rows):
        more = f"\n\n{len(rows) - number} more: see stages.json"
        if len(text) + len(row) + 1 + len(more) > LONGEST_TAG:
            return text + more
        text += f"\n{row}"
    return text


def _on_one_line(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
