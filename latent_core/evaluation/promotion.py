"""Whether one model is better than another, beyond noise: paired tests on the questions that both have answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from latent_core.evaluation.regression import Regression, find_regressions
from latent_core.evaluation.scores import Scores


@dataclass(frozen=True)
class Judgement:
    """The conditions in which the candidate's accuracy is other than the champion's, of so many that were compared.

    The comparisons run from champion to candidate in `fallen`, and from candidate to champion in `risen`.
    """

    compared: int
    risen: tuple[Regression, ...]
    fallen: tuple[Regression, ...]

    @property
    def is_better(self) -> bool:
        """Better in at least one condition, and worse in none."""
        return bool(self.risen) and not self.fallen

    def line(self) -> str:
        if not self.compared:
            return "not better: no evaluation of the same questions in the same way is there for both"
        if self.fallen:
            return f"not better: accuracy fell beyond noise at {_names(self.fallen)}"
        if not self.risen:
            return f"not better: accuracy rose beyond noise in none of {self.compared} conditions"
        return f"better: accuracy rose beyond noise at {_names(self.risen)}, and fell so in no condition"


def judge(pairs: Mapping[str, tuple[Scores, Scores]]) -> Judgement:
    """Compare (champion, candidate) in every condition, with Holm's correction for their number.

    Raises InputError when a pair holds different questions.
    """
    fallen = find_regressions(pairs)
    risen = find_regressions({condition: (candidate, champion) for condition, (champion, candidate) in pairs.items()})
    return Judgement(len(pairs), tuple(risen), tuple(fallen))


def _names(conditions: tuple[Regression, ...]) -> str:
    return ", ".join(item.condition for item in conditions)
