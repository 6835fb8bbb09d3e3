"""What a report is made of: one entry per model and condition, paired with the same model at ratio 1.0.

A model that hears no ratio, so that it has no 1.0 of its own, is paired with that of a reference model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from latent_core.errors import InputError
from latent_core.evaluation.scores import Scores, read_scores
from latent_core.evaluation.summary import PairedComparison, Summary, compare_scores, summarise_scores

Row = Mapping[str, Any]

TRAINED = "ratio"  # the kind of conditions that ask a model for a ratio in the way it was trained to hear it
SAMPLES_SHOWN = 4


@dataclass(frozen=True)
class Pace:
    """How fast an evaluation was computed where it was: wall seconds for all of it, generated tokens a second."""

    seconds: float
    tokens_per_second: float


@dataclass(frozen=True)
class ReportEntry:
    """One model under one condition.

    `condition` reads "<kind> <ratio>", e.g. "ratio 0.5" or "prompt-only 0.5". `achieved_ratio` and `difference` are
    relative to the same model's ratio 1.0, else the reference model's, on the same questions; None where that was not
    evaluated (`difference` is also None for ratio 1.0 itself). `samples` are the first rows, for reading;
    `pace` is None where nothing was generated.
    """

    model: str
    condition: str
    ratio: float | None
    summary: Summary
    achieved_ratio: float | None = None
    difference: PairedComparison | None = None
    samples: Sequence[Row] = ()
    pace: Pace | None = None

    @property
    def kind(self) -> str:
        """The condition without its ratio: entries of one model and kind form one line of a plot."""
        return _kind(self.condition)


@dataclass(frozen=True)
class Provenance:
    """Where the numbers come from: one row a stage (stage, fingerprint, uri, version), and the environment."""

    rows: Sequence[Mapping[str, str]] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """An evaluation artifact to report; `rows` opens its rows from the start, as often as it is called."""

    model: str
    condition: str
    ratio: float | None
    rows: Callable[[], Iterable[Row]]
    pace: Pace | None = None


def build_entries(
    evaluations: Sequence[Evaluation], *, samples_shown: int = SAMPLES_SHOWN, reference: str | None = None
) -> list[ReportEntry]:
    """Summarise every evaluation and pair it with its model's ratio 1.0, reading each evaluation once.

    `reference` names the model whose ratio 1.0 stands in for models that were not evaluated at one.

    Raises InputError if a model and condition occur twice, or a pair holds different questions.
    """
    names = [(item.model, item.condition) for item in evaluations]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"evaluations: {name[0]} with condition {name[1]!r} occurs twice; name conditions apart")
    read = [_read(item, samples_shown) for item in evaluations]
    baselines = {item.model: _baseline(item.model, evaluations) for item in evaluations}
    entries = []
    for place, (item, (scores, samples)) in enumerate(zip(evaluations, read, strict=True)):
        baseline = baselines[item.model]
        if baseline is None and reference is not None:
            baseline = baselines.get(reference)
        difference, achieved = None, None
        if baseline == place:
            achieved = 1.0
        elif baseline is not None:
            try:
                difference = compare_scores(read[baseline][0], scores)
            except InputError as error:
                raise InputError(f"{item.model}, {item.condition} against its ratio 1.0: {error}") from error
            achieved = difference.achieved_ratio.value if difference.achieved_ratio else None
        entries.append(
            ReportEntry(
                item.model,
                item.condition,
                item.ratio,
                summarise_scores(scores),
                achieved,
                difference,
                samples,
                item.pace,
            )
        )
    return entries


def without_baseline(entries: Sequence[ReportEntry]) -> list[str]:
    """The models, in order, none of whose entries could be paired with a ratio 1.0."""
    paired = {entry.model for entry in entries if entry.achieved_ratio is not None}
    return [model for model in dict.fromkeys(entry.model for entry in entries) if model not in paired]


def _kind(condition: str) -> str:
    return re.sub(r"\s*[0-9.]+$", "", condition) or condition


def _read(evaluation: Evaluation, shown: int) -> tuple[Scores, list[Row]]:
    samples: list[Row] = []

    def rows() -> Iterator[Row]:
        for row in evaluation.rows():
            if len(samples) < shown:
                samples.append(row)
            yield row

    return read_scores(rows()), samples


def _baseline(model: str, evaluations: Sequence[Evaluation]) -> int | None:
    """Place of the model's evaluation at ratio 1.0; that of kind "ratio" before a prompt's or another method's."""
    full = [place for place, item in enumerate(evaluations) if item.model == model and item.ratio == 1.0]
    trained = [place for place in full if _kind(evaluations[place].condition) == TRAINED]
    return next(iter(trained or full), None)
