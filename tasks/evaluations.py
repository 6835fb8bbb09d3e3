"""Finished evaluations for those who read them: the summary, the numbers to pair, and where a report has them."""

from __future__ import annotations

from itertools import islice
from typing import Any

from latent_core.errors import InputError
from latent_core.evaluation.condition import Condition, condition_of
from latent_core.evaluation.logprob import COLUMN
from latent_core.evaluation.scores import COLUMNS, Scores, read_scores
from latent_core.evaluation.summary import Summary
from latent_core.report import Evaluation, Pace
from latent_core.report.names import full_name
from latent_core.store import Artifact, Reference
from tasks.tables import SAMPLES

SAMPLES_SHOWN = 4  # rows of every evaluation, for reading


def summary_of(evaluation: Artifact) -> Summary:
    """What the evaluation's own stage found; raises InputError where that was another release's summary."""
    return Summary.from_metrics(evaluation.manifest.content.metrics)


def scores_of(evaluation: Artifact) -> Scores:
    """The numbers that two evaluations are paired by; other columns, with all texts, are not read."""
    columns = [*COLUMNS, COLUMN] if "logprob" in evaluation.manifest.content.metrics else COLUMNS
    return read_scores(SAMPLES.rows(evaluation, columns))


def evaluation_of(condition: Condition, artifact: Artifact) -> Evaluation:
    """A finished evaluation as a report shows it."""
    record = artifact.manifest.record
    is_generated = "tokens_per_second" in record
    return Evaluation(
        condition,
        summary_of(artifact),
        lambda: scores_of(artifact),
        list(islice(SAMPLES.rows(artifact), SAMPLES_SHOWN)),
        Pace(float(record["seconds"]), float(record["tokens_per_second"])) if is_generated else None,
        lambda ids: _first_samples(artifact, frozenset(ids)),
    )


def _first_samples(artifact: Artifact, ids: frozenset[str]) -> list[dict[str, Any]]:
    """The first row of each of these questions, with all texts; reads no further than the last of them."""
    found: dict[str, dict[str, Any]] = {}
    for row in SAMPLES.rows(artifact):
        name = str(row["question_id"])
        if name in ids and name not in found:
            found[name] = dict(row)
            if len(found) == len(ids):
                break
    return list(found.values())


def evaluations_behind(report: Artifact) -> dict[Condition, Reference]:
    """The evaluations of a finished report, whether the store still has them or not."""
    parents = report.manifest.content.parents
    return {condition: parent for role, parent in parents.items() if (condition := condition_of(role)) is not None}


def stored_evaluations(report: Artifact) -> dict[Condition, Artifact]:
    """The same, opened; raises InputError where one is gone."""
    found = {}
    for condition, parent in evaluations_behind(report).items():
        if parent.ref is None:
            raise InputError(f"{report.ref}: its evaluation {full_name(condition)} is not in the store any more")
        found[condition] = report.store.require(parent.ref)
    return found
