"""Finished evaluations from rows, without a store."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from latent_core.evaluation.condition import Condition, Kind
from latent_core.evaluation.scores import read_scores
from latent_core.evaluation.summary import summarise
from latent_core.report import Evaluation, Pace


def evaluated(
    model: str,
    rows: Sequence[Mapping[str, Any]],
    kind: Kind = Kind.RATIO,
    ratio: float | None = 1.0,
    *,
    seed: int | None = None,
    pace: Pace | None = None,
    shown: int = 4,
) -> Evaluation:
    """An evaluation of which the first `shown` rows are shown."""
    condition = Condition(model, kind, ratio, seed)

    def find(ids: Collection[str]) -> list[Mapping[str, Any]]:
        return [row for row in rows if row["question_id"] in ids and row["sample_index"] == 0]

    return Evaluation(condition, summarise(rows), lambda: read_scores(rows), rows[:shown], pace, find)
