"""Arms against their controls: at equal requested ratio, and at equal achieved tokens; paired by seed and question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from latent_core.errors import InputError
from latent_core.evaluation.arms import Arm
from latent_core.evaluation.crossed_bootstrap import Draws, Resampled, Uncertainty, map_resampled
from latent_core.evaluation.equal_tokens import accuracy_at, common_range, mean_difference
from latent_core.evaluation.multiple import Verdict, holm, holm_confidence, verdict
from latent_core.evaluation.scores import Floats
from latent_core.evaluation.statistics import Estimate, mcnemar_exact

REACHED = 0.95  # share of the resamples in which both arms must reach a budget for the budget to be compared at


class Matching(StrEnum):
    """What two arms are held equal in."""

    MEAN = "equal tokens, on average"
    RATIO = "equal ratio"
    TOKENS = "equal tokens"


class Pair(NamedTuple):
    """An arm and what it is compared with, by name."""

    arm: str
    control: str


class McNemar(NamedTuple):
    """Exact McNemar test over all (seed, question) pairs: how often only the arm, only the control was right.

    Pooled over seeds, it takes one question under five seeds for five; the bootstrap does not.
    """

    only_arm: int
    only_control: int
    p: float
    adjusted_p: float


@dataclass(frozen=True)
class Difference:
    """Accuracy of an arm minus its control's, as a fraction, at one point.

    `low_tokens` and `high_tokens`: the budget, or the range that a mean over budgets is taken over; `ratio` where that
    is equal. `difference` has its 95 % interval, `adjusted` the interval at the level at which Holm tested it; they and
    `p` are Student's, of the standard `error` with its degrees of `freedom`. Where one of the arms has no point there,
    `difference` and all after it are None. `each_seed`: differences seed by seed, at equal ratio only.
    """

    pair: Pair
    matching: Matching
    ratio: float | None = None
    low_tokens: float | None = None
    high_tokens: float | None = None
    difference: Estimate | None = None
    adjusted: Estimate | None = None
    error: float | None = None
    freedom: float | None = None
    p: float | None = None
    adjusted_p: float | None = None
    mcnemar: McNemar | None = None
    verdict: Verdict | None = None
    each_seed: tuple[float, ...] = ()


class _Curve(NamedTuple):
    """Accuracy and reasoning tokens, observed (ratios,) and resampled (resamples, ratios)."""

    accuracy: Floats
    tokens: Floats
    accuracies: Resampled
    lengths: Resampled


class _Drawn(NamedTuple):
    found: Difference
    uncertainty: Uncertainty | None


def compare_at_ratios(
    pairs: Sequence[Pair], arms: Mapping[str, Arm], draws: Draws, *, margin: float
) -> list[Difference]:
    """Every pair at every ratio that both were evaluated at; Holm over all of them. `margin` is a fraction.

    Raises InputError for a pair whose seeds or questions differ.
    """
    curves = _curves(pairs, arms, draws)
    drawn = []
    for pair in pairs:
        first, second = arms[pair.arm], arms[pair.control]
        for ratio in first.ratios:
            if ratio in second.ratios:
                one, other = first.place(ratio), second.place(ratio)
                gains = first.accuracy[:, one] - second.accuracy[:, other]
                found = Difference(pair, Matching.RATIO, ratio=ratio, each_seed=tuple(map(float, gains)))
                found = replace(
                    found, difference=Estimate(float(gains.mean()), 0, 0), mcnemar=_mcnemar(first, second, ratio)
                )
                resampled = map_resampled(
                    lambda ours, theirs, one=one, other=other: ours[:, one] - theirs[:, other],
                    curves[pair.arm].accuracies,
                    curves[pair.control].accuracies,
                )
                drawn.append(_Drawn(found, draws.uncertainty(resampled)))
    return _adjusted(drawn, margin)


def compare_at_tokens(
    pairs: Sequence[Pair], arms: Mapping[str, Arm], draws: Draws, budgets: Sequence[float], *, margin: float
) -> list[Difference]:
    """Every pair at every budget of reasoning tokens; Holm over all.

    Curves join an arm's points, means over seeds and questions; budgets that they do not reach, or fail to reach in
    more than one resample in twenty, are returned without a difference. Raises InputError as `compare_at_ratios` does.
    """
    curves = _curves(pairs, arms, draws)
    wanted = np.array(budgets, dtype=np.float64)

    def at_budgets(tokens: Floats, accuracy: Floats, control_tokens: Floats, control_accuracy: Floats) -> Floats:
        return accuracy_at(tokens, accuracy, wanted) - accuracy_at(control_tokens, control_accuracy, wanted)

    drawn = []
    for pair in pairs:
        observed, resampled = _both(pair, curves)
        differences, found = at_budgets(*observed), map_resampled(at_budgets, *resampled)
        for place, budget in enumerate(budgets):
            at = Resampled(*(part[:, place] for part in found))
            here = Difference(pair, Matching.TOKENS, low_tokens=budget, high_tokens=budget)
            drawn.append(_where_reached(here, float(differences[place]), at, draws))
    return _adjusted(drawn, margin)


def compare_on_average(
    pairs: Sequence[Pair], arms: Mapping[str, Arm], draws: Draws, *, margin: float
) -> list[Difference]:
    """Every pair at equal reasoning tokens, on average over the tokens that both reach; one row a pair, Holm over all.

    Pairs without tokens in common are returned without a difference. Raises InputError as `compare_at_ratios` does.
    """
    curves = _curves(pairs, arms, draws)
    drawn = []
    for pair in pairs:
        observed, resampled = _both(pair, curves)
        low, high = common_range(observed[0], observed[2])
        here = Difference(pair, Matching.MEAN, low_tokens=float(low), high_tokens=float(high))
        means = map_resampled(mean_difference, *resampled)
        drawn.append(_where_reached(here, float(mean_difference(*observed)), means, draws))
    return _adjusted(drawn, margin)


def _both(pair: Pair, curves: Mapping[str, _Curve]) -> tuple[tuple[Floats, ...], tuple[Resampled, ...]]:
    """Tokens and accuracy of an arm and of its control, observed and resampled."""
    one, other = curves[pair.arm], curves[pair.control]
    observed = one.tokens, one.accuracy, other.tokens, other.accuracy
    return observed, (one.lengths, one.accuracies, other.lengths, other.accuracies)


def _where_reached(here: Difference, observed: float, resampled: Resampled, draws: Draws) -> _Drawn:
    reached = min(float(np.isfinite(part).mean()) for part in resampled)
    if np.isnan(observed) or reached < REACHED:
        return _Drawn(here, None)
    return _Drawn(replace(here, difference=Estimate(observed, observed, observed)), draws.uncertainty(resampled))


def _adjusted(drawn: Sequence[_Drawn], margin: float) -> list[Difference]:
    """Intervals, p-values and verdicts, corrected over all that could be compared."""
    p_values = [
        uncertainty.p_value(found.difference.value)
        for found, uncertainty in drawn
        if found.difference is not None and uncertainty is not None
    ]
    corrected = iter(zip(p_values, holm(p_values), holm_confidence(p_values), strict=True))
    counts = [item.found.mcnemar for item in drawn if item.found.mcnemar is not None]
    tested = iter(holm([count.p for count in counts]))
    done = []
    for found, uncertainty in drawn:
        if found.difference is not None and uncertainty is not None:
            p, adjusted_p, confidence = next(corrected)
            value = found.difference.value
            wide = uncertainty.interval(value, confidence)
            found = replace(
                found, difference=uncertainty.interval(value), adjusted=wide, error=uncertainty.error,
                freedom=uncertainty.freedom, p=p, adjusted_p=adjusted_p, verdict=verdict(wide, adjusted_p, margin),
            )  # fmt: skip
        if found.mcnemar is not None:
            found = replace(found, mcnemar=found.mcnemar._replace(adjusted_p=next(tested)))
        done.append(found)
    return done


def _mcnemar(first: Arm, second: Arm, ratio: float) -> McNemar | None:
    if not (first.one_sample_each and second.one_sample_each):
        return None
    one, other = first.correct[:, first.place(ratio)] == 1, second.correct[:, second.place(ratio)] == 1
    counts = int((one & ~other).sum()), int((other & ~one).sum())
    return McNemar(*counts, mcnemar_exact(*counts), 1.0)


def _curves(pairs: Sequence[Pair], arms: Mapping[str, Arm], draws: Draws) -> dict[str, _Curve]:
    """The curves of all arms that are paired. Raises InputError for a pair whose seeds or questions differ."""
    for pair in pairs:
        first, second = arms[pair.arm], arms[pair.control]
        if first.seeds != second.seeds or first.question_ids != second.question_ids:
            raise InputError(f"{pair.arm} and {pair.control} differ in seeds or questions; evaluate both on the same")
    return {name: _curve(arms[name], draws) for name in dict.fromkeys(name for pair in pairs for name in pair)}


def _curve(arm: Arm, draws: Draws) -> _Curve:
    observed = arm.accuracy.mean(0), arm.reasoning.mean((0, 2))
    return _Curve(*observed, draws.means(arm.correct), draws.means(arm.reasoning))
