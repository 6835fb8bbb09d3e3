"""The MLflow run of a flow's run: who ran what, the headline of each evaluation, why it failed, and its stages.

All of it follows from the journal and the store, so that it can be rebuilt.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from latent_core.store import ArtifactRef, ArtifactStore, Manifest
from tasks.tracking.code_version import code_tags
from tasks.tracking.curves import Curve, curves, evaluations, headline, log_curve
from tasks.tracking.description import flow_name
from tasks.tracking.journal import Journal, JournalEntry
from tasks.tracking.notes import note
from tasks.tracking.parameters import LONGEST_TAG, flat_parameters, shortened, taken_name
from tasks.tracking.stage_runs import log_metrics, log_parameters, whole_run

FLOW_RUN_TAG = "prefect.flow_run_id"
RUN_TAG = "latent.run"  # what all attempts at a run have in common
PARENT_TAG = "mlflow.parentRunId"
FAILURE_TAG = "latent.failure"
LIVE_TAG = "latent.live"  # a run that was begun while its stage computes
FIRST_RUN_TAG = "latent.first_runs"  # the flows' runs for which cached stages were computed
NOTE_TAG = "mlflow.note.content"  # what MLflow's page shows as the description
STAGES_FILE = "stages.json"


@dataclass(frozen=True)
class ParentRun:
    """The MLflow run of a flow's run: its id, the whole runs of stages below it, and how it stood when found."""

    id: str
    is_new: bool = True
    stages: Mapping[ArtifactRef, str] = field(default_factory=dict)  # the ids of their runs
    status: str = "RUNNING"
    ended: int = 0  # milliseconds since the epoch
    is_told: bool = False  # whether all is said of its end

    def lacks_end(self, journal: Journal) -> bool:
        """Whether the journal knows of a later end, or more of it; one that MLflow alone knows of stays."""
        if self.status == "RUNNING":
            return True
        if self.status == journal.status and not self.is_told and journal.code:  # runs of earlier releases stay
            return True
        return self.status != journal.status and self.ended < _milliseconds(journal.ended)


def open_parent(client: Any, experiment_id: str, journal: Journal, *, is_mine: bool = False) -> ParentRun:
    """The MLflow run of a flow's run, still to be closed: that of an earlier attempt at the same run, or a new one.

    What an attempt left half-written below it is removed; a run that another process writes while its stage computes
    is left to it, unless the caller is the next attempt (`is_mine`).
    """
    found = client.search_runs([experiment_id], f"tags.`{RUN_TAG}` = '{journal.run}'", max_results=1)
    if not found:
        return ParentRun(create_parent(client, experiment_id, journal))
    info = found[0].info
    whole = {}
    for run in _all_runs(client, experiment_id, f"tags.`{PARENT_TAG}` = '{info.run_id}'"):
        tags = run.data.tags
        if run.info.status == "FINISHED":
            whole[ArtifactRef(tags["stage"], tags["fingerprint"])] = str(run.info.run_id)
        elif is_mine or LIVE_TAG not in tags:
            client.delete_run(run.info.run_id)
    is_told = NOTE_TAG in found[0].data.tags
    return ParentRun(info.run_id, False, whole, info.status, info.end_time or 0, is_told)


def _all_runs(client: Any, experiment_id: str, wanted: str) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_runs([experiment_id], wanted, max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def create_parent(client: Any, experiment_id: str, journal: Journal) -> str:
    """A new MLflow run for a flow's run, still open; returns its id."""
    tags = {RUN_TAG: journal.run, "latent.flow": journal.flow} | _flow_run(journal)
    started = _milliseconds(journal.started)
    run = client.create_run(
        experiment_id, run_name=flow_name(journal), tags=tags | _origin(journal), start_time=started
    )
    log_parameters(client, run.info.run_id, flat_parameters(journal.config, "config.json"))
    client.log_dict(run.info.run_id, journal.config, "config.json")
    return str(run.info.run_id)


def _origin(journal: Journal) -> dict[str, str]:
    """User, code and program, as MLflow's page shows them."""
    found = {"mlflow.user": journal.user, "mlflow.source.name": journal.command or journal.flow}
    found |= {"mlflow.source.type": "LOCAL"} | code_tags(journal.code)
    return {name: value for name, value in found.items() if value}


def log_headline(
    client: Any, parent_id: str, entry: JournalEntry, manifest: Manifest, *, known: Container[str] = ()
) -> None:
    """Accuracy and tokens of an evaluation, as metrics of the flow's run; nothing for other stages.

    `known` are metrics that the run has already.
    """
    from mlflow.entities import Metric

    ended = int((manifest.record["started"] + manifest.record["seconds"]) * 1000)
    found = {taken_name(name): value for name, value in headline(entry, manifest).items()}
    lacking = [Metric(name, value, ended, 0) for name, value in found.items() if name not in known]
    log_metrics(client, parent_id, lacking)


def close_parent(
    client: Any,
    experiment_id: str,
    parent_id: str,
    journal: Journal,
    store: ArtifactStore,
    logged: Mapping[ArtifactRef, str],
) -> None:
    """Bring the run of a flow to its end, with its curves, its tags, its stages and a note. `logged`: stages' runs."""
    for name, value in journal.tags.items():
        client.set_tag(parent_id, name, value)
    before = client.get_run(parent_id).data
    if journal.reason:
        client.set_tag(parent_id, FAILURE_TAG, shortened(journal.reason, LONGEST_TAG))
    elif FAILURE_TAG in before.tags:  # an earlier attempt's
        client.delete_tag(parent_id, FAILURE_TAG)
    # The end comes before what else there is to say: a process that is told to end may have no time for that.
    client.set_terminated(parent_id, journal.status, end_time=_milliseconds(journal.ended))
    found = evaluations(journal, store)
    for entry, manifest in found:
        log_headline(client, parent_id, entry, manifest, known=before.metrics)
    shown = [_logged_curve(client, experiment_id, parent_id, journal, curve) for curve in curves(journal, found)]
    stages = [_listed(entry, logged) for entry in journal.stages]
    client.log_dict(parent_id, {"stages": stages}, STAGES_FILE)
    if first := _first_runs(client, parent_id, journal, logged):
        client.set_tag(parent_id, FIRST_RUN_TAG, shortened(", ".join(first), LONGEST_TAG))
    client.set_tag(parent_id, NOTE_TAG, note(journal, experiment_id, dict(found), logged, shown))


def _logged_curve(client: Any, experiment_id: str, parent_id: str, journal: Journal, curve: Curve) -> str:
    """The id of the curve's run: that of an earlier run of the same evaluations, or a new one below this run."""
    there = whole_run(client, experiment_id, curve.ref)
    if there is not None:
        return there
    tags = {PARENT_TAG: parent_id} | _flow_run(journal) | _author(journal)
    return log_curve(client, experiment_id, curve, tags)


def _listed(entry: JournalEntry, logged: Mapping[ArtifactRef, str]) -> dict[str, Any]:
    about = {"stage": entry.stage, "label": entry.label, "fingerprint": entry.fingerprint, "cached": entry.cached}
    return about | {"run_id": logged.get(entry.ref)}


def _first_runs(client: Any, parent_id: str, journal: Journal, logged: Mapping[ArtifactRef, str]) -> list[str]:
    """The ids of the flows' runs below which the runs of cached stages are, in order."""
    ids = [logged[entry.ref] for entry in journal.stages if entry.cached and entry.ref in logged]
    parents = [client.get_run(run_id).data.tags.get(PARENT_TAG, "") for run_id in ids]
    return [found for found in dict.fromkeys(parents) if found and found != parent_id]


def _flow_run(journal: Journal) -> dict[str, str]:
    return {FLOW_RUN_TAG: journal.flow_run_id} if journal.flow_run_id else {}


def _author(journal: Journal) -> dict[str, str]:
    """The tag by which MLflow's pages name the user of a nested run."""
    return {"mlflow.user": journal.user} if journal.user else {}


def nested_tags(journal: Journal, entry: JournalEntry, parent_id: str) -> dict[str, str]:
    """What hangs a stage's run under its flow's."""
    cache = "hit" if entry.cached else "miss"
    return {PARENT_TAG: parent_id, "cache": cache} | _flow_run(journal) | _author(journal)


def _milliseconds(seconds: float | None) -> int:
    return int((seconds or time.time()) * 1000)
