"""Questions that one model answers right and another wrong: some of them, always the same ones, with both outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from latent_core.evaluation.condition import Condition, Kind
from latent_core.evaluation.scores import Scores
from latent_core.report.entries import Evaluation
from latent_core.report.names import full_name
from latent_core.report.paired import STANDARD
from latent_core.report.samples import SampleColumn, sample_column

SHOWN = 2  # questions a direction
MOST_PAIRS = 8
_TRAINED = (Kind.RATIO, Kind.TRAINED, Kind.GRPO)


@dataclass(frozen=True)
class Disagreement:
    """A question, its right answer, and what both models wrote: the one that was right first."""

    question: str
    gold: str
    name: str
    columns: tuple[SampleColumn, SampleColumn]


@dataclass(frozen=True)
class DisagreeingPair:
    """Two evaluations of the same questions: how many only the first, only the second got right, and some of each."""

    first: str
    second: str
    only_first: int
    only_second: int
    questions: int
    shown: list[Disagreement] = field(default_factory=list)


def disagreements(evaluations: Sequence[Evaluation]) -> list[DisagreeingPair]:
    """Every trained model at its highest ratio against the untrained one, and at its lowest against the standard one.

    First samples are compared where a question has several. Of the questions on which only one is right, those at even
    distances in the benchmark's order are shown. Pairs that hold different questions are left out.
    """
    found = []
    for first, second in _pairs(evaluations)[:MOST_PAIRS]:
        ours, theirs = _right(first.scores()), _right(second.scores())
        if ours.keys() != theirs.keys():
            continue
        only_first = [name for name, right in ours.items() if right and not theirs[name]]
        only_second = [name for name, right in ours.items() if not right and theirs[name]]
        chosen = dict.fromkeys(_spread(only_first), True) | dict.fromkeys(_spread(only_second), False)
        if not chosen:
            continue
        pair = DisagreeingPair(_name(first), _name(second), len(only_first), len(only_second), len(ours))
        rows, others = ({str(row["question_id"]): row for row in item.find(list(chosen))} for item in (first, second))
        for name, is_first in chosen.items():
            columns = [sample_column(_name(first), rows[name]), sample_column(_name(second), others[name])]
            one, other = columns if is_first else reversed(columns)
            row = rows[name]
            pair.shown.append(Disagreement(str(row["question"]).strip(), str(row["gold"]), name, (one, other)))
        found.append(pair)
    return found


def _pairs(evaluations: Sequence[Evaluation]) -> list[tuple[Evaluation, Evaluation]]:
    """Of each variant its first seed."""
    base = next((item for item in evaluations if item.condition.kind is Kind.UNTRAINED), None)
    variants: dict[tuple[str, Kind], list[Evaluation]] = {}
    for item in evaluations:
        if item.condition.kind in _TRAINED:
            members = variants.setdefault((item.condition.model, item.condition.kind), [])
            if not members or members[0].condition.seed == item.condition.seed:
                members.append(item)
    pairs = []
    for members in variants.values():
        if base is not None:
            pairs.append((max(members, key=_ratio), base))
    standard = {_ratio(item): item for item in variants.get((STANDARD, Kind.RATIO), [])}
    for (model, kind), members in variants.items():
        common = [item for item in members if _ratio(item) in standard]
        if model != STANDARD and kind is Kind.RATIO and common:
            lowest = min(common, key=_ratio)
            pairs.append((lowest, standard[_ratio(lowest)]))
    return pairs


def _ratio(item: Evaluation) -> float:
    condition: Condition = item.condition
    return 1.0 if condition.ratio is None else condition.ratio


def _right(scores: Scores) -> dict[str, bool]:
    """Whether each question's first sample is right."""
    first = np.unique(scores.question, return_index=True)[1]
    return dict(zip(scores.question_ids, map(bool, scores.correct[first]), strict=True))


def _spread(names: Sequence[str]) -> list[str]:
    places = np.linspace(0, max(0, len(names) - 1), min(SHOWN, len(names))).round().astype(int)
    return [names[place] for place in places]


def _name(item: Evaluation) -> str:
    return full_name(item.condition)
