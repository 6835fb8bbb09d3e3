"""Whether a model got worse than it was, beyond noise: paired tests on the same questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from latent_core.evaluation.scores import Scores
from latent_core.evaluation.summary import PairedComparison, compare_scores

ALPHA = 0.05  # for all conditions together


@dataclass(frozen=True)
class Regression:
    """A condition whose accuracy fell; `p_value` is of McNemar's exact test where it applies, else the bootstrap's."""

    condition: str
    comparison: PairedComparison
    p_value: float

    def line(self) -> str:
        change = self.comparison.accuracy
        return (
            f"{self.condition}: accuracy {100 * change.value:+.1f} points (95 % {100 * change.low:+.1f} to "
            f"{100 * change.high:+.1f}, p = {self.p_value:.2g}) on {self.comparison.questions} questions"
        )


def p_value_of(comparison: PairedComparison) -> float:
    """McNemar's exact test where each question has one sample, else the paired bootstrap."""
    return comparison.bootstrap_p if comparison.mcnemar_p is None else comparison.mcnemar_p


def find_regressions(pairs: Mapping[str, tuple[Scores, Scores]], *, alpha: float = ALPHA) -> list[Regression]:
    """The conditions of `pairs` (earlier, now) that fell, after Holm's correction for their number.

    Source: Holm (1979), "A simple sequentially rejective multiple test procedure". Raises InputError when a pair
    holds different questions.
    """
    tested = []
    for condition, (earlier, now) in pairs.items():
        comparison = compare_scores(earlier, now)
        tested.append(Regression(condition, comparison, p_value_of(comparison)))
    found = []
    for place, candidate in enumerate(sorted(tested, key=lambda item: item.p_value)):
        if candidate.p_value > alpha / (len(tested) - place):
            break
        if candidate.comparison.accuracy.value < 0:
            found.append(candidate)
    return found
