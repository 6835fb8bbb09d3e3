"""How well an arm keeps the lengths it is asked for, measured by the model it started from.

n* is the requested ratio times the start model's reasoning tokens for the same question at ratio 1. An arm's own length
at ratio 1 would not do: training that makes all reasoning shorter would move what it is measured by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from latent_core.errors import InputError
from latent_core.evaluation.arms import Arm
from latent_core.evaluation.crossed_bootstrap import Draws, map_resampled
from latent_core.evaluation.length import obedience, slope, spearman
from latent_core.evaluation.scores import Floats
from latent_core.evaluation.statistics import Estimate


class Reference(NamedTuple):
    """The start model's reasoning tokens at ratio 1, (questions,); `borrowed` of them are the mean of the others."""

    tokens: Floats
    borrowed: int


@dataclass(frozen=True)
class AskedAt:
    """An arm at one ratio: means over seeds and questions, intervals (95 %) over both.

    `deviation` is |n - n*| / n*, `of_means` the same of mean n and mean n*; `answer` counts all tokens that are not
    reasoning; `loss` is the accuracy minus that of the same arm at ratio 1, None there.
    """

    ratio: float
    target: float
    reasoning: float
    answer: float
    of_means: float
    deviation: Estimate
    over_budget: float
    loss: Estimate | None


@dataclass(frozen=True)
class Between:
    """Accuracy at a ratio that was never trained, beside the straight line between the trained ratios around it."""

    ratio: float
    below: float
    above: float
    accuracy: float
    interpolated: float
    difference: Estimate


@dataclass(frozen=True)
class AskedLengths:
    """One arm. `deviation` and `of_means` are means over the ratios below 1. `slope`: of mean tokens, as a share of the
    start model's at ratio 1, on the ratio; 1 is obedience. `spearman`: mean over seeds and questions."""

    arm: str
    start: str
    at: tuple[AskedAt, ...]
    deviation: Estimate
    of_means: float
    slope: Estimate
    spearman: float
    borrowed: int
    between: tuple[Between, ...]


def reference_of(start: Arm) -> Reference:
    """Lengths of the questions that the start model answers correctly at ratio 1 after reasoning, and their mean for
    the others.

    Raises InputError where it answers none so.
    """
    full = start.place(1.0)
    tokens = start.reasoning[:, full].mean(axis=0)
    known = (start.correct[:, full].mean(axis=0) > 0) & (tokens > 0)
    if not known.any():
        raise InputError(
            f"{start.name}: answers no question correctly after reasoning at ratio 1, so no length is known to suffice"
        )
    return Reference(np.where(known, tokens, tokens[known].mean()), int((~known).sum()))


def asked_lengths(arm: Arm, start: Arm, draws: Draws, trained: frozenset[float]) -> AskedLengths:
    """All measures of an arm, with its start model evaluated on the same questions in the same order.

    `trained` are the ratios that models were trained at. Raises InputError for other questions, or an arm that was not
    evaluated at ratio 1 and one below.
    """
    reference, ratios = _reference(arm, start), np.array(arm.ratios)
    shorter = _shorter(arm)
    whole = _whole(arm, reference)
    found = obedience(arm.reasoning, whole, ratios)
    means, target = arm.reasoning.mean((0, 2)), ratios * reference.tokens.mean()
    of_means = np.abs(means - target) / target

    def deviation(places: list[int]) -> Estimate:
        cells = found.deviation[:, places].mean(axis=1)
        return draws.uncertainty(draws.means(cells)).interval(float(cells.mean()))

    def reaction(tokens: Floats, full: Floats) -> Floats:
        return slope(ratios, tokens / full[..., None])

    reacts = map_resampled(reaction, draws.means(arm.reasoning), draws.means(whole))
    return AskedLengths(
        arm=arm.name,
        start=start.name,
        at=tuple(
            AskedAt(
                ratio=ratio,
                target=float(target[place]),
                reasoning=float(means[place]),
                answer=float(arm.output[:, place].mean() - means[place]),
                of_means=float(of_means[place]),
                deviation=deviation([place]),
                over_budget=float(found.over_budget[:, place].mean()),
                loss=None if ratio == 1 else _difference(arm, place, {arm.place(1.0): 1.0}, draws),
            )
            for place, ratio in enumerate(arm.ratios)
        ),
        deviation=deviation(shorter),
        of_means=float(of_means[shorter].mean()),
        slope=draws.uncertainty(reacts).interval(float(reaction(means, reference.tokens.mean()))),
        spearman=float(spearman(ratios, arm.reasoning.swapaxes(1, 2)).mean()),
        borrowed=reference.borrowed,
        between=tuple(_between(arm, draws, trained)),
    )


def deviations(arm: Arm, start: Arm) -> Floats:
    """|n − n*| / n* of every seed and question, (seeds, questions), mean over the ratios below 1.

    Raises InputError for other questions, or an arm that was evaluated at no ratio below 1.
    """
    reference, shorter = _reference(arm, start), _shorter(arm)
    found = obedience(arm.reasoning, _whole(arm, reference), np.array(arm.ratios))
    return np.asarray(found.deviation[:, shorter].mean(axis=1), dtype=np.float64)


def _reference(arm: Arm, start: Arm) -> Reference:
    if arm.question_ids != start.question_ids:
        raise InputError(f"{arm.name}: was evaluated on other questions than {start.name}, which it is measured by")
    return reference_of(start)


def _whole(arm: Arm, reference: Reference) -> Floats:
    """The start model's tokens at ratio 1 for every seed of the arm: (seeds, questions)."""
    return np.broadcast_to(reference.tokens, (len(arm.seeds), len(reference.tokens)))


def _shorter(arm: Arm) -> list[int]:
    """Places of the ratios below 1."""
    places = [place for place, ratio in enumerate(arm.ratios) if ratio < 1]
    if not places:
        raise InputError(f"{arm.name}: was not evaluated at a ratio below 1")
    return places


def _between(arm: Arm, draws: Draws, trained: frozenset[float]) -> list[Between]:
    """One for each evaluated ratio that was not trained and lies between two that were."""
    found = []
    for place, ratio in enumerate(arm.ratios):
        below = max((other for other in arm.ratios if other in trained and other < ratio), default=None)
        above = min((other for other in arm.ratios if other in trained and other > ratio), default=None)
        if ratio in trained or below is None or above is None:
            continue
        share = (ratio - below) / (above - below)
        line = {arm.place(below): 1 - share, arm.place(above): share}
        found.append(
            Between(
                ratio=ratio,
                below=below,
                above=above,
                accuracy=float(arm.accuracy[:, place].mean()),
                interpolated=float(sum(part * arm.accuracy[:, other].mean() for other, part in line.items())),
                difference=_difference(arm, place, line, draws),
            )
        )
    return found


def _difference(arm: Arm, place: int, line: dict[int, float], draws: Draws) -> Estimate:
    """Accuracy at one place minus a weighted sum of those at others, paired by seed and question."""
    cells = arm.correct[:, place] - sum(part * arm.correct[:, other] for other, part in line.items())
    return draws.uncertainty(draws.means(cells)).interval(float(cells.mean()))
