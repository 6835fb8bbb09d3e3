"""Which of two arms keeps the lengths it is asked for better: the difference of their deviations, tested.

Paired by question, deviations differ little between questions. So a difference has to hold twice, over seeds and
questions and over the seeds' means alone (see `crossed_bootstrap.uncertainties`): its p-value is the larger and its
interval the wider of the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from latent_core.errors import InputError
from latent_core.evaluation.arm_comparisons import Pair
from latent_core.evaluation.arms import Arm
from latent_core.evaluation.asked_lengths import deviations
from latent_core.evaluation.crossed_bootstrap import Draws, Uncertainty, uncertainties, widest
from latent_core.evaluation.multiple import holm, holm_confidence
from latent_core.evaluation.statistics import Estimate


@dataclass(frozen=True)
class DeviationDifference:
    """Mean relative deviation (MRD) of an arm minus its control's; below 0 the arm keeps lengths better.

    `difference` has its 95 % interval, `adjusted` the interval at the level at which Holm tested it; both and `p` are
    those of the less certain of two tests, over seeds and questions and over seeds alone. `each_seed`: the differences
    seed by seed.
    """

    pair: Pair
    difference: Estimate
    adjusted: Estimate
    p: float
    adjusted_p: float
    each_seed: tuple[float, ...]


class _Tested(NamedTuple):
    """A difference, and what two tests know of it."""

    value: float
    each_seed: tuple[float, ...]
    uncertainties: tuple[Uncertainty, Uncertainty]

    @property
    def p(self) -> float:
        return max(one.p_value(self.value) for one in self.uncertainties)

    def interval(self, confidence: float = 0.95) -> Estimate:
        return widest(self.value, self.uncertainties, confidence)


def compare_deviations(
    pairs: Sequence[Pair], arms: Mapping[str, Arm], starts: Mapping[str, Arm], draws: Draws
) -> list[DeviationDifference]:
    """Every pair, by MRD over the ratios below 1, paired by seed and question; Holm over all of them.

    `starts` are the arms that lengths are measured by. Raises InputError for a pair that differs in its start, seeds,
    questions or ratios, and as `deviations` does.
    """
    tested = []
    for pair in pairs:
        first, second = arms[pair.arm], arms[pair.control]
        for what, same in {
            "the model they started from": starts[pair.arm].name == starts[pair.control].name,
            "seeds": first.seeds == second.seeds,
            "questions": first.question_ids == second.question_ids,
            "ratios": first.ratios == second.ratios,
        }.items():
            if not same:
                raise InputError(f"{pair.arm} and {pair.control} differ in {what}, so their lengths cannot be compared")
        cells = deviations(first, starts[pair.arm]) - deviations(second, starts[pair.control])
        each_seed = tuple(map(float, cells.mean(axis=1)))
        tested.append(_Tested(float(cells.mean()), each_seed, uncertainties(cells, draws)))
    p_values = [found.p for found in tested]
    corrected = zip(p_values, holm(p_values), holm_confidence(p_values), strict=True)
    return [
        DeviationDifference(
            pair=pair,
            difference=found.interval(),
            adjusted=found.interval(confidence),
            p=p,
            adjusted_p=adjusted_p,
            each_seed=found.each_seed,
        )
        for pair, found, (p, adjusted_p, confidence) in zip(pairs, tested, corrected, strict=True)
    ]
