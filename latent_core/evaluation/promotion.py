"""Whether one model is better than another, beyond noise: paired tests on the questions that both have answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from latent_core.evaluation.regression import find_regressions
from latent_core.evaluation.scores import Scores
from latent_core.evaluation.summary import compare_scores


@dataclass(frozen=True)
class Verdict:
    """The conditions in which the candidate's accuracy rose or fell beyond noise, of all that were compared.

    `changes` says of each condition, in a sentence, how it changed from the champion to the candidate.
    """

    changes: tuple[str, ...]
    risen: tuple[str, ...]
    fallen: tuple[str, ...]

    @property
    def is_better(self) -> bool:
        """Better in at least one condition, and worse in none."""
        return bool(self.risen) and not self.fallen

    def line(self) -> str:
        if not self.changes:
            return "not better: no evaluation of the same questions in the same way is there for both"
        if self.fallen:
            return f"not better: accuracy fell beyond noise at {', '.join(self.fallen)}"
        if not self.risen:
            return f"not better: accuracy rose beyond noise in none of {len(self.changes)} conditions"
        return f"better: accuracy rose beyond noise at {', '.join(self.risen)}, and fell so in no condition"


def compare_models(pairs: Mapping[str, tuple[Scores, Scores]]) -> Verdict:
    """Compare (champion, candidate) in every condition, with Holm's correction for their number.

    Raises InputError when a pair holds different questions.
    """
    swapped = {condition: (candidate, champion) for condition, (champion, candidate) in pairs.items()}
    return Verdict(
        tuple(_change(condition, *scores) for condition, scores in pairs.items()),
        tuple(item.condition for item in find_regressions(swapped)),
        tuple(item.condition for item in find_regressions(pairs)),
    )


def _change(condition: str, champion: Scores, candidate: Scores) -> str:
    comparison = compare_scores(champion, candidate)
    value, low, high = (100 * number for number in comparison.accuracy)
    return f"{condition}: {value:+.1f} points (95 % {low:+.1f} to {high:+.1f}, p = {comparison.p_value:.2g})"
