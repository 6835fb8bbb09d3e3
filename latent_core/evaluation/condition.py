"""The condition of an evaluation: which model, asked how to reason, at which ratio; and the role it has in a report.

Roles enter fingerprints. What `role_of` writes for a condition never changes; what people read is formatted in
`latent_core.report.names`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from latent_core.errors import InputError

BASE = "base"
"""What every run calls the model that it evaluates as it is, whatever that was before; never one that it trained."""
_SEEDED = re.compile(r"(?P<model>.+)-seed(?P<seed>0|[1-9]\d*)")
_PREFIX = "evaluation/"
T = TypeVar("T")


class Kind(StrEnum):
    """What a model is asked, or what was done to its outputs. The values are part of roles."""

    RATIO = "ratio"  # the ratio, as the model was trained on it
    AUTO = "auto ratio"  # a ratio of the model's own choice
    TRAINED = "trained"  # the question alone, of a model that was not trained on ratios
    UNTRAINED = "untrained"  # the question alone, of the base model
    START = "start"  # the ratio, of the model that reinforcement learning starts from
    GRPO = "grpo"  # the ratio, of the model that it leads to
    AUTO_START = "auto start"  # as START and GRPO, at a ratio of the model's own choice
    AUTO_GRPO = "auto grpo"
    REDUCE = "reduce"  # the ratio, in words
    CONCISE = "concise"
    CHAIN_OF_DRAFT = "chain of draft"
    SKETCH_OF_THOUGHT = "sketch of thought"
    TRUNCATE = "truncate"  # the base model's outputs, cut at the ratio's share of their mean length
    OWN_REASONING = "own reasoning"  # the ratio, and the answer after the model's own reasoning, put there again
    EMPTY_REASONING = "empty reasoning"  # the same after the reasoning was emptied
    RANDOM_REASONING = "random reasoning"  # the same after as many random ids
    SWAPPED_REASONING = "swapped reasoning"  # the same after the reasoning about another question

    @property
    def takes_ratio(self) -> bool:
        kinds = (Kind.RATIO, Kind.START, Kind.GRPO, Kind.REDUCE, Kind.TRUNCATE)
        return self in kinds or self.intervenes

    @property
    def intervenes(self) -> bool:
        """Whether the answer was given after reasoning that was put there: no way to reason, but a test of whether it
        is read."""
        return self in (Kind.OWN_REASONING, Kind.EMPTY_REASONING, Kind.RANDOM_REASONING, Kind.SWAPPED_REASONING)


@dataclass(frozen=True)
class Condition:
    """One model under one condition; `seed` is the training's where a run trains several.

    `ratio` is the requested one, None for a kind that requests none; the base model as it is counts as 1.0. Raises
    InputError for a ratio that the kind does not take, or lacks.
    """

    model: str
    kind: Kind
    ratio: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.kind is Kind.UNTRAINED:
            wanted, is_right = "ratio 1.0", self.ratio == 1.0
        elif self.kind.takes_ratio:
            wanted, is_right = "a ratio", self.ratio is not None
        else:
            wanted, is_right = "no ratio", self.ratio is None
        if not is_right:
            raise InputError(f"ratio: the condition {self.kind.value!r} takes {wanted}, not {self.ratio}")

    @property
    def trained_model(self) -> str:
        """The model and its seed as one name, which roles, labels and registered names use."""
        return seeded(self.model, self.seed)


def seeded(model: str, seed: int | None) -> str:
    """The name of one seed's model, e.g. dual-seed1; without a seed, the model's own."""
    return model if seed is None else f"{model}-seed{seed}"


def seeded_name(name: str) -> tuple[str, int | None]:
    """The model and the seed in a name that `seeded` made; its inverse."""
    found = _SEEDED.fullmatch(name)
    return (name, None) if found is None else (found["model"], int(found["seed"]))


def role_of(condition: Condition) -> str:
    """The parent role of an evaluation in a report, e.g. evaluation/dual-seed1/ratio 0.5.

    Ratios have six significant digits; `by_role` refuses conditions that differ only beyond them. Raises InputError for
    a model whose name would be read back as another one.
    """
    if "/" in condition.model or _SEEDED.fullmatch(condition.model):
        raise InputError(f"model: {condition.model!r} has '/' or ends like a seed, so its role could not be read back")
    return f"{_PREFIX}{condition.trained_model}/{role_ending(condition)}"


def role_ending(condition: Condition) -> str:
    """The last part of a role, which says the condition without its model: ratio 0.5, untrained."""
    return f"{condition.kind.value} {condition.ratio:g}" if condition.kind.takes_ratio else condition.kind.value


def condition_of(role: str) -> Condition | None:
    """The condition that a role stands for; None for the role of something else. The inverse of `role_of`.

    Raises InputError for an evaluation of a kind that this release does not know.
    """
    if not role.startswith(_PREFIX):
        return None
    name, _, ending = role.removeprefix(_PREFIX).rpartition("/")
    try:
        kind, ratio = _read_ending(ending)
    except ValueError as error:
        raise InputError(f"{role}: this release knows no such condition ({error})") from error
    model, seed = seeded_name(name)
    return Condition(model, kind, ratio, seed)


def _read_ending(ending: str) -> tuple[Kind, float | None]:
    words, _, number = ending.rpartition(" ")
    if words in set(Kind) and Kind(words).takes_ratio:
        return Kind(words), float(number)
    kind = Kind(ending)
    if kind.takes_ratio:
        raise ValueError("its ratio is missing")
    return kind, 1.0 if kind is Kind.UNTRAINED else None


def by_role(evaluations: Mapping[Condition, T]) -> dict[str, T]:
    """The same by role. Raises InputError where two conditions have one role, so that one evaluation would be lost."""
    found: dict[str, T] = {}
    for condition, evaluation in evaluations.items():
        role = role_of(condition)
        if role in found:
            raise InputError(f"ratio: {condition.ratio!r} is another condition's ratio to six digits ({role})")
        found[role] = evaluation
    return found
