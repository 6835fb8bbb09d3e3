"""Whether a model got worse than it was, beyond noise: paired tests on the same questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from latent_core.evaluation.scores import Scores
from latent_core.evaluation.summary import PairedComparison, compare_scores

ALPHA = 0.05  # for all conditions together


@dataclass(frozen=True)
class Judgement:
    """What became of a condition. Accuracies are means over questions, as fractions; `comparison` is after - before.

    `p_value` is of McNemar's exact test where it applies, else the bootstrap's; `threshold` is what Holm's correction
    holds it against. `differs`: it is below its threshold, and so is every smaller one of the family.
    """

    condition: str
    before: float
    after: float
    comparison: PairedComparison
    p_value: float
    threshold: float
    differs: bool

    @property
    def fell(self) -> bool:
        return self.differs and self.comparison.accuracy.value < 0

    def line(self) -> str:
        change = self.comparison.accuracy
        return (
            f"{self.condition}: accuracy {100 * change.value:+.1f} points, {self.before:.1%} -> {self.after:.1%} "
            f"(95 % {100 * change.low:+.1f} to {100 * change.high:+.1f}, p = {self.p_value:.2g}) on "
            f"{self.comparison.questions} questions"
        )


def judge(pairs: Mapping[str, tuple[Scores, Scores]], *, alpha: float = ALPHA) -> list[Judgement]:
    """Every condition of `pairs` (before, after) in their order, after Holm's correction for their number.

    Source: Holm (1979), "A simple sequentially rejective multiple test procedure". Raises InputError when a pair
    holds different questions.
    """
    comparisons = {condition: compare_scores(before, after) for condition, (before, after) in pairs.items()}
    differs, judged = True, {}
    ranked = sorted(comparisons, key=lambda condition: comparisons[condition].p_value)
    for place, condition in enumerate(ranked):
        comparison, threshold = comparisons[condition], alpha / (len(ranked) - place)
        differs = differs and comparison.p_value <= threshold
        before, after = (float(scores.by_question(scores.correct).mean()) for scores in pairs[condition])
        judged[condition] = Judgement(condition, before, after, comparison, comparison.p_value, threshold, differs)
    return [judged[condition] for condition in pairs]


def find_regressions(pairs: Mapping[str, tuple[Scores, Scores]], *, alpha: float = ALPHA) -> list[Judgement]:
    """The conditions that fell, the surest first; otherwise as `judge`."""
    return sorted((item for item in judge(pairs, alpha=alpha) if item.fell), key=lambda item: item.p_value)
