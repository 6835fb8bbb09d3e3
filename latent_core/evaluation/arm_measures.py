"""What is measured of one arm: accuracy and lengths per ratio over seeds, and one number each for a whole curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from latent_core.evaluation.aes import AES_WEIGHTS, aes
from latent_core.evaluation.arms import Arm
from latent_core.evaluation.crossed_bootstrap import Draws, Resampled, map_resampled
from latent_core.evaluation.hypervolume import REFERENCE_FACTOR, hypervolume
from latent_core.evaluation.length import Obedience, obedience, slope, spearman
from latent_core.evaluation.scores import Floats
from latent_core.evaluation.statistics import Estimate


class Untrained(NamedTuple):
    """The model that arms start from, asked the plain question: what AES and the hypervolume are relative to.

    `accuracy` is a share, the others mean tokens a question.
    """

    accuracy: float
    reasoning: float
    output: float

    @property
    def hypervolume_reference(self) -> float:
        """Reasoning tokens at the reference point."""
        return REFERENCE_FACTOR * self.reasoning


class Spread(NamedTuple):
    """Mean over seeds, their sample standard deviation (n − 1), and the seeds' own values, in the order of seeds."""

    mean: float
    sd: float
    each_seed: tuple[float, ...]


def spread(by_seed: Sequence[float] | Floats) -> Spread:
    """Of one value a seed; the standard deviation of a single one is 0."""
    values = tuple(map(float, by_seed))
    mean = math.fsum(values) / len(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return Spread(mean, math.sqrt(squares / (len(values) - 1)) if len(values) > 1 else 0.0, values)


@dataclass(frozen=True)
class AtRatio:
    """One arm at one ratio. `accuracy_interval` is over seeds and questions, 95 %; `aes` is by the weights' name.

    `reasoning_ratio` is mean reasoning tokens over those at ratio 1; `deviation` and `over_budget` are means over seeds
    and questions, None at ratio 1, which is what they are measured by.
    """

    ratio: float
    accuracy: Spread
    accuracy_interval: Estimate
    reasoning: Spread
    output: Spread
    reasoning_ratio: float | None
    aes: dict[str, float | None]
    deviation: float | None
    over_budget: float | None


@dataclass(frozen=True)
class ArmMeasures:
    """One arm. Deviation and over-budget share are means over the ratios below 1; intervals are 95 %.

    `slope` is of mean reasoning tokens, as a share of those at ratio 1, on the requested ratio. `spearman_means`
    correlates the ratio with mean tokens, `spearman` is the mean over seeds and questions. `without_target` counts
    cells (seed, ratio, question) that had no length to be compared with. None: nothing to measure it by; of the
    hypervolume where the untrained model does not reason.
    """

    at: tuple[AtRatio, ...]
    hypervolume: Estimate | None
    deviation: float | None
    over_budget: float | None
    slope: Estimate | None
    spearman_means: float | None
    spearman: float | None
    without_target: int


def measure(arm: Arm, untrained: Untrained, draws: Draws) -> ArmMeasures:
    """All measures of an arm that was evaluated at ratio 1. Raises InputError where it was not."""
    full = arm.reasoning[:, arm.place(1.0)]
    shorter = [place for place, ratio in enumerate(arm.ratios) if ratio < 1]
    ratios = np.array(arm.ratios)
    lengths = obedience(arm.reasoning[:, shorter], full, ratios[shorter])
    accuracy, tokens = draws.means(arm.correct), draws.means(arm.reasoning)
    means, shares = arm.reasoning.mean((0, 2)), arm.accuracy.mean(0)

    def volume(lengths: Floats, accuracies: Floats) -> Floats:
        return hypervolume(lengths, accuracies, untrained.hypervolume_reference)

    def reaction(lengths: Floats) -> Floats:
        full = lengths[..., arm.place(1.0), None]
        return slope(ratios, np.divide(lengths, full, out=np.full(lengths.shape, np.nan), where=full > 0))

    reacts = bool(shorter) and full.mean() > 0
    volumes = map_resampled(volume, tokens, accuracy) if untrained.reasoning > 0 else None
    return ArmMeasures(
        at=tuple(
            _at(arm, place, untrained, _share(arm, place, accuracy, draws), lengths, shorter)
            for place in range(len(arm.ratios))
        ),
        hypervolume=None
        if volumes is None
        else _within(draws.uncertainty(volumes).interval(float(volume(means, shares)))),
        deviation=_mean(lengths.deviation),
        over_budget=_mean(lengths.over_budget),
        slope=draws.uncertainty(map_resampled(reaction, tokens)).interval(float(reaction(means))) if reacts else None,
        spearman_means=float(spearman(ratios, means)) if reacts else None,
        spearman=float(spearman(ratios, arm.reasoning.swapaxes(1, 2)).mean()) if shorter else None,
        without_target=lengths.left_out,
    )


def _share(arm: Arm, place: int, accuracy: Resampled, draws: Draws) -> Estimate:
    """The accuracy at one ratio, with its interval."""
    at = Resampled(*(part[:, place] for part in accuracy))
    return _within(draws.uncertainty(at).interval(float(arm.accuracy[:, place].mean())))


def _within(estimate: Estimate) -> Estimate:
    """An interval of a share, which ends at 0 and 1."""
    return Estimate(estimate.value, max(0.0, estimate.low), min(1.0, estimate.high))


def _at(
    arm: Arm, place: int, untrained: Untrained, accuracy: Estimate, lengths: Obedience, shorter: list[int]
) -> AtRatio:
    by_seed = arm.accuracy[:, place]
    reasoning, output = arm.reasoning[:, place].mean(-1), arm.output[:, place].mean(-1)
    full = arm.reasoning[:, arm.place(1.0)].mean()
    row = shorter.index(place) if place in shorter else None
    return AtRatio(
        ratio=arm.ratios[place],
        accuracy=spread(by_seed),
        accuracy_interval=accuracy,
        reasoning=spread(reasoning),
        output=spread(output),
        reasoning_ratio=float(reasoning.mean() / full) if full > 0 else None,
        aes={
            weights.name: aes(
                float(by_seed.mean()), float(output.mean()), untrained.accuracy, untrained.output, weights
            )
            for weights in AES_WEIGHTS
        },
        deviation=None if row is None else _mean(lengths.deviation[:, row]),
        over_budget=None if row is None else _mean(lengths.over_budget[:, row]),
    )


def _mean(cells: Floats) -> float | None:
    """Mean over the cells that have a target; None where none has."""
    known = cells[~np.isnan(cells)]
    return float(known.mean()) if known.size else None
