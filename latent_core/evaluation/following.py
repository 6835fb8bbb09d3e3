"""Whose answer a model gives after another question's reasoning: the share that follows what it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from latent_core.evaluation.statistics import Estimate, wilson_interval


class Following(NamedTuple):
    """Of `samples` whose donor has another gold answer, the share that gave the donor's; `alike` have the same one."""

    share: Estimate | None
    samples: int
    alike: int

    def to_metrics(self) -> dict[str, Any]:
        return self._asdict() | {"share": None if self.share is None else self.share._asdict()}

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, Any]) -> Following:
        return cls(**{**metrics, "share": None if metrics["share"] is None else Estimate(**metrics["share"])})


def following(follows: Sequence[bool | None]) -> Following:
    """The share of samples that answer the question whose reasoning they were given, with a 95 % Wilson interval."""
    told = [value for value in follows if value is not None]
    share = wilson_interval(sum(told), len(told)) if told else None
    return Following(share, len(told), len(follows) - len(told))
