"""What an evaluation found: accuracy, lengths and their intervals for one condition, and paired for two.

The unit is the question. Several samples of one question are not independent, so accuracy and mean lengths are means
over questions of the mean over a question's samples, and intervals resample questions. Rates, quantiles and the
histogram are over samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from latent_core.errors import InputError
from latent_core.evaluation.at_k import AtK, at_k
from latent_core.evaluation.following import Following
from latent_core.evaluation.logprob import LogProb, LogProbDifference, by_question, log_prob, log_prob_difference
from latent_core.evaluation.question_draws import paired_shares
from latent_core.evaluation.scores import OUTCOMES, Floats, Scores, read_scores
from latent_core.evaluation.statistics import (
    Estimate,
    bootstrap_mean,
    bootstrap_ratio,
    mcnemar_exact,
    wilson_interval,
)
from latent_core.scoring.grading import Outcome

QUANTILES = (5, 25, 50, 75, 95)  # percent
# Four bins an octave from 8 to 65536 tokens, the same for every evaluation so that histograms can be laid side by
# side: bin i is [edge i, edge i+1), the last one is open.
HISTOGRAM_EDGES = (0, *(round(8 * 2 ** (step / 4)) for step in range(53)))
UNLABELLED = "unlabelled"  # the level of questions without one, in a benchmark where others have one
SEED = 20_250_513  # of all bootstraps: the same rows give the same summary


class LevelAccuracy(NamedTuple):
    """Accuracy on the questions of one level, with its 95 % interval."""

    questions: int
    samples: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """One condition's results. Rates and shares are fractions, lengths are tokens of the evaluated model.

    `accuracy` and `tokens` carry 95 % intervals. None means undefined: no correct answer (`correct_tokens`), no
    reasoning (`latent_share`), no output at all (`efficiency`: accuracy per 1000 tokens). `at_k` is empty where a
    question has one sample, `logprob` None where it was not measured, `follows_reasoning` where the reasoning was not
    swapped. `echoed` counts the samples by the ratio that they name first ("none": no ratio); it is empty for a model
    that names none.
    """

    questions: int
    samples: int
    accuracy: Estimate
    tokens: Estimate
    token_quantiles: dict[int, float]
    reasoning_tokens: float
    correct_tokens: float | None
    truncated_rate: float
    unparsed_rate: float
    latent_share: float | None
    efficiency: float | None
    levels: dict[str, LevelAccuracy]
    outcomes: dict[str, int]
    histogram: tuple[int, ...]
    at_k: dict[int, AtK] = field(default_factory=dict)
    logprob: LogProb | None = None
    follows_reasoning: Following | None = None
    echoed: dict[str, int] = field(default_factory=dict)

    def with_following(self, found: Following) -> Summary:
        """The same with how many answers follow from another question's reasoning."""
        return replace(self, follows_reasoning=found)

    def to_metrics(self) -> dict[str, Any]:
        """As plain JSON types, for a manifest; `from_metrics` is the inverse."""
        fields = asdict(self)
        del fields["at_k"], fields["logprob"], fields["follows_reasoning"], fields["echoed"]
        several = {"at_k": {str(k): value._asdict() for k, value in self.at_k.items()}} if self.at_k else {}
        measured: dict[str, Any] = {"logprob": self.logprob.to_metrics()} if self.logprob else {}
        if self.follows_reasoning is not None:
            measured["follows_reasoning"] = self.follows_reasoning.to_metrics()
        named = {"echoed": self.echoed} if self.echoed else {}
        return (
            fields
            | several
            | measured
            | named
            | {
                "accuracy": self.accuracy._asdict(),
                "tokens": self.tokens._asdict(),
                "token_quantiles": {str(percent): value for percent, value in self.token_quantiles.items()},
                "levels": {name: level._asdict() for name, level in self.levels.items()},
                "histogram": {"edges": list(HISTOGRAM_EDGES), "counts": list(self.histogram)},
            }
        )

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, Any]) -> Summary:
        """Raises InputError if a field is missing, unknown or malformed, or the histogram has other bins."""
        try:
            if tuple(metrics["histogram"]["edges"]) != HISTOGRAM_EDGES:
                raise InputError("metrics: the histogram has other bins than this release; evaluate again")
            return cls(
                **{
                    **metrics,
                    "accuracy": Estimate(**metrics["accuracy"]),
                    "tokens": Estimate(**metrics["tokens"]),
                    "token_quantiles": {int(percent): value for percent, value in metrics["token_quantiles"].items()},
                    "levels": {name: LevelAccuracy(**level) for name, level in metrics["levels"].items()},
                    "outcomes": {outcome: metrics["outcomes"][outcome] for outcome in OUTCOMES},
                    "histogram": tuple(metrics["histogram"]["counts"]),
                    "at_k": {int(k): AtK(**value) for k, value in metrics.get("at_k", {}).items()},
                    "logprob": LogProb.from_metrics(metrics["logprob"]) if "logprob" in metrics else None,
                    "follows_reasoning": Following.from_metrics(metrics["follows_reasoning"])
                    if "follows_reasoning" in metrics
                    else None,
                }
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"metrics: not a summary of this release ({error}); evaluate again") from error


@dataclass(frozen=True)
class PairedComparison:
    """A candidate against a baseline on the same questions: `accuracy` is candidate minus baseline, as a fraction.

    `achieved_ratio` is the candidate's tokens over the baseline's, `reasoning_ratio` the same for reasoning tokens;
    None if the baseline has none. `mcnemar_p` is None where a question has several samples, for which McNemar's test
    is not made; `student_p` belongs to the interval of `accuracy`. `logprob` is None where either was not scored.
    Intervals are 95 %.
    """

    questions: int
    accuracy: Estimate
    student_p: float
    mcnemar_p: float | None
    achieved_ratio: Estimate | None
    reasoning_ratio: Estimate | None
    logprob: LogProbDifference | None = None

    @property
    def p_value(self) -> float:
        """Of equal accuracy: McNemar's exact test where each question has one sample, else Student's."""
        return self.student_p if self.mcnemar_p is None else self.mcnemar_p


def summarise(rows: Iterable[Mapping[str, Any]]) -> Summary:
    """Summarise one condition's rows, in one pass. Raises InputError as `read_scores` does."""
    return summarise_scores(read_scores(rows))


def compare(a_rows: Iterable[Mapping[str, Any]], b_rows: Iterable[Mapping[str, Any]]) -> PairedComparison:
    """Compare candidate `b_rows` with baseline `a_rows`. Raises InputError unless both hold the same questions."""
    return compare_scores(read_scores(a_rows), read_scores(b_rows))


def summarise_scores(scores: Scores) -> Summary:
    """`summarise` for rows that are already read."""
    lengths, correct = scores.tokens, scores.correct
    accuracy = _accuracy(scores.by_question(correct), one_sample_each=scores.one_sample_each)
    tokens = bootstrap_mean(scores.by_question(lengths), seed=SEED)
    outcomes = {
        str(outcome): int(count)
        for outcome, count in zip(OUTCOMES, np.bincount(scores.outcome, minlength=len(OUTCOMES)), strict=True)
    }
    reasoning = int(scores.reasoning_tokens.sum())
    bins = np.searchsorted(HISTOGRAM_EDGES, lengths, side="right") - 1
    return Summary(
        questions=len(scores.question_ids),
        samples=len(lengths),
        accuracy=accuracy,
        tokens=tokens,
        token_quantiles=dict(zip(QUANTILES, np.percentile(lengths, QUANTILES).tolist(), strict=True)),
        reasoning_tokens=float(scores.by_question(scores.reasoning_tokens).mean()),
        correct_tokens=float(lengths[correct].mean()) if correct.any() else None,
        truncated_rate=outcomes[Outcome.TRUNCATED] / len(lengths),
        unparsed_rate=outcomes[Outcome.UNPARSED] / len(lengths),
        latent_share=int(scores.latent_tokens.sum()) / reasoning if reasoning else None,
        efficiency=1000 * accuracy.value / tokens.value if tokens.value else None,
        levels=_levels(scores),
        outcomes=outcomes,
        histogram=tuple(np.bincount(bins, minlength=len(HISTOGRAM_EDGES)).tolist()),
        at_k=at_k(scores),
        logprob=None if scores.logprobs is None else log_prob(scores.logprobs, scores.question, SEED),
    )


def compare_scores(baseline: Scores, candidate: Scores) -> PairedComparison:
    """`compare` for rows that are already read."""
    order = _same_questions(baseline, candidate)
    before, after = baseline.by_question(baseline.correct), candidate.by_question(candidate.correct)[order]
    mcnemar = None
    if baseline.one_sample_each and candidate.one_sample_each:
        mcnemar = mcnemar_exact(int(((before == 1) & (after == 0)).sum()), int(((before == 0) & (after == 1)).sum()))
    samples = min(len(scores.correct) / len(scores.question_ids) for scores in (baseline, candidate))
    accuracy, student_p = paired_shares(before, after, samples=samples)
    return PairedComparison(
        questions=len(before),
        accuracy=accuracy,
        student_p=student_p,
        mcnemar_p=mcnemar,
        achieved_ratio=bootstrap_ratio(
            baseline.by_question(baseline.tokens), candidate.by_question(candidate.tokens)[order], seed=SEED
        ),
        reasoning_ratio=bootstrap_ratio(
            baseline.by_question(baseline.reasoning_tokens),
            candidate.by_question(candidate.reasoning_tokens)[order],
            seed=SEED,
        ),
        logprob=_logprob_difference(baseline, candidate, order),
    )


def _logprob_difference(baseline: Scores, candidate: Scores, order: list[int]) -> LogProbDifference | None:
    if baseline.logprobs is None or candidate.logprobs is None:
        return None
    before = by_question(baseline.logprobs, baseline.question)
    return log_prob_difference(before, by_question(candidate.logprobs, candidate.question)[order], SEED)


def _accuracy(by_question: Floats, *, one_sample_each: bool) -> Estimate:
    mean = float(by_question.mean())
    # Wilson needs independent yes/no trials. At exactly 0 or 1 the bootstrap has no width, so there the questions
    # count as one trial each, which errs on the wide side.
    if one_sample_each or mean in (0.0, 1.0):
        return wilson_interval(round(float(by_question.sum())), len(by_question))
    return bootstrap_mean(by_question, seed=SEED)


def _levels(scores: Scores) -> dict[str, LevelAccuracy]:
    """Accuracy per level, sorted by name; empty where the benchmark has no levels."""
    if all(level is None for level in scores.levels):
        return {}
    names = np.array([UNLABELLED if level is None else str(level) for level in scores.levels])
    by_question = scores.by_question(scores.correct)
    samples = np.bincount(scores.question, minlength=len(names))
    levels = {}
    for name in sorted(set(names.tolist())):
        chosen = names == name
        count, total = int(chosen.sum()), int(samples[chosen].sum())
        accuracy = _accuracy(by_question[chosen], one_sample_each=count == total)
        levels[name] = LevelAccuracy(count, total, *accuracy)
    return levels


def _same_questions(baseline: Scores, candidate: Scores) -> list[int]:
    """Where each of the baseline's questions stands in the candidate."""
    places = {name: place for place, name in enumerate(candidate.question_ids)}
    absent = [name for name in baseline.question_ids if name not in places]
    extra = set(places).difference(baseline.question_ids)
    if absent or extra:
        example = absent[0] if absent else min(extra)
        raise InputError(
            f"question_id: the evaluations differ ({len(absent)} questions only in the first, {len(extra)} only in the "
            f"second, e.g. {example}); evaluate both on the same benchmark, split and limit"
        )
    return [places[name] for name in baseline.question_ids]
