"""What a report is made of: one entry per model and condition, paired with the same model at ratio 1.0.

A model that was not trained on ratios has no ratio 1.0 of its own and is paired with that of a reference model.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from latent_core.errors import InputError
from latent_core.evaluation.condition import Condition, Kind
from latent_core.evaluation.scores import Scores
from latent_core.evaluation.statistics import Estimate, bootstrap_mean
from latent_core.evaluation.summary import SEED, PairedComparison, Summary, compare_scores
from latent_core.report.names import condition_name, full_name

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Pace:
    """How fast an evaluation was computed where it was: wall seconds for all of it, generated tokens a second."""

    seconds: float
    tokens_per_second: float


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation to report. `scores` reads its numbers, for pairing; `samples` are its first rows, for
    reading; `pace` is None where nothing was generated; `find` reads the first sample of each question with these ids.
    """

    condition: Condition
    summary: Summary
    scores: Callable[[], Scores]
    samples: Sequence[Row] = ()
    pace: Pace | None = None
    find: Callable[[Collection[str]], Sequence[Row]] = lambda ids: ()


@dataclass(frozen=True)
class ReportEntry:
    """One model under one condition.

    The ratios and `difference` are relative to the same model's ratio 1.0, else the reference model's, on the same
    questions; None where that was not evaluated (`difference` is also None for ratio 1.0 itself). `reasoning_ratio` is
    of mean reasoning tokens, an unclosed think phase with its whole length; `achieved_ratio` is of all tokens, the
    answer's included. `reasoning` is the mean of reasoning tokens with its 95 % interval, None where nothing is paired
    with the entry. `samples` and `pace` are the evaluation's.
    """

    condition: Condition
    summary: Summary
    reasoning_ratio: float | None = None
    achieved_ratio: float | None = None
    reasoning: Estimate | None = None
    difference: PairedComparison | None = None
    samples: Sequence[Row] = ()
    pace: Pace | None = None

    @property
    def model(self) -> str:
        """The model's name in the report, with its seed: each seed is a model of its own."""
        return self.condition.trained_model

    @property
    def name(self) -> str:
        """The condition's name in the report."""
        return condition_name(self.condition)


@dataclass(frozen=True)
class Provenance:
    """Where the numbers come from: one row a stage (stage, fingerprint, uri, version), and the environment."""

    rows: Sequence[Mapping[str, str]] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


class Place(NamedTuple):
    """Where a run can be looked at further: `address` of a page that a server shows, else `how` to open one."""

    name: str
    address: str | None
    how: str


def build_entries(evaluations: Sequence[Evaluation], *, reference: str | None = None) -> list[ReportEntry]:
    """Pair every evaluation with its model's ratio 1.0; scores are read only where there is a pair, and each once.

    `reference` names the model whose ratio 1.0 stands in for models that were not evaluated at one.

    Raises InputError if a condition occurs twice, or a pair holds different questions.
    """
    conditions = [item.condition for item in evaluations]
    for condition in conditions:
        if conditions.count(condition) > 1:
            raise InputError(f"evaluations: {full_name(condition)} occurs twice; name conditions apart")
    baselines = {condition.trained_model: _baseline(condition.trained_model, evaluations) for condition in conditions}
    if reference is not None:
        baselines = {model: found or baselines.get(reference) for model, found in baselines.items()}
    paired_with = {item.condition: baselines[item.condition.trained_model] for item in evaluations}
    needed = {found.condition for condition, found in paired_with.items() if found and found.condition != condition}
    scores = {item.condition: item.scores() for item in evaluations if item.condition in needed}
    return [_entry(item, paired_with[item.condition], scores) for item in evaluations]


def _entry(item: Evaluation, baseline: Evaluation | None, scores: Mapping[Condition, Scores]) -> ReportEntry:
    """The evaluation beside its baseline, of which `scores` holds the numbers."""
    entry = ReportEntry(item.condition, item.summary, samples=item.samples, pace=item.pace)
    if baseline is None:
        return entry
    if baseline is item:
        own = scores.get(item.condition)
        return replace(
            entry, reasoning_ratio=1.0, achieved_ratio=1.0, reasoning=None if own is None else _reasoning(own)
        )
    found = item.scores()
    try:
        difference = compare_scores(scores[baseline.condition], found)
    except InputError as error:
        raise InputError(f"{full_name(item.condition)} against its ratio 1.0: {error}") from error
    return replace(
        entry,
        reasoning_ratio=difference.reasoning_ratio.value if difference.reasoning_ratio else None,
        achieved_ratio=difference.achieved_ratio.value if difference.achieved_ratio else None,
        reasoning=_reasoning(found),
        difference=difference,
    )


def _reasoning(scores: Scores) -> Estimate:
    return bootstrap_mean(scores.by_question(scores.reasoning_tokens), seed=SEED)


def without_baseline(entries: Sequence[ReportEntry]) -> list[str]:
    """The models, in order, none of whose entries could be paired with a ratio 1.0."""
    paired = {entry.model for entry in entries if entry.achieved_ratio is not None}
    return [model for model in dict.fromkeys(entry.model for entry in entries) if model not in paired]


def _baseline(model: str, evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """The model's evaluation at ratio 1.0; that of kind "ratio" before a prompt's or another method's."""
    full = [item for item in evaluations if item.condition.trained_model == model and item.condition.ratio == 1.0]
    trained = [item for item in full if item.condition.kind is Kind.RATIO]
    return next(iter(trained or full), None)
