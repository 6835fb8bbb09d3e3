"""Episodes as a reader follows them: what was said to the model, what it wrote, what it did and what that was worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latent_core.think_marks import THINK_PAIRS

LONGEST_TEXT = 6000  # characters of a text shown; the artifact has the rest


@dataclass(frozen=True)
class ShownTurn:
    """One turn. `reasoning` and `after` together are what the model wrote; `latent` says how much of it is latent."""

    number: int
    said: str
    reasoning: str
    after: str
    latent: str
    actions: tuple[str, ...]
    reward: float
    tokens: int


@dataclass(frozen=True)
class ShownEpisode:
    """One episode; `place` says why it is shown: best, middle or worst by its return."""

    place: str
    seed: int
    sample: int
    total: float
    end: str
    turns: tuple[ShownTurn, ...]

    @property
    def summary(self) -> str:
        turns = f"{len(self.turns)} turn{'s' if len(self.turns) != 1 else ''}"
        return f"{self.place}: return {self.total:g}, {turns}, {self.end}"


def chosen(ended: Sequence[tuple[float, int, int]]) -> dict[tuple[int, int], str]:
    """Which episodes to show, from (return, seed, sample) of all: the first of the best, middle and worst returns."""
    ordered = sorted(ended, key=lambda one: (-one[0], one[1:]))
    places = {"best": 0, "middle": (len(ordered) - 1) // 2, "worst": len(ordered) - 1} if ordered else {}
    found: dict[tuple[int, int], str] = {}
    for name, place in places.items():
        _, seed, sample = ordered[place]
        found.setdefault((seed, sample), name)
    return found


def shown_episode(place: str, rows: Sequence[Mapping[str, Any]]) -> ShownEpisode:
    """An episode from its turns in order, rows of the table that the stage `play` writes."""
    last = rows[-1]
    turns = tuple(_turn(row) for row in rows)
    return ShownEpisode(place, int(last["seed"]), int(last["sample"]), float(last["return"]), str(last["end"]), turns)


def _turn(row: Mapping[str, Any]) -> ShownTurn:
    reasoning, after = _parts(str(row["said"]), str(row["wrote"]))
    latent = int(row["latent_tokens"])
    return ShownTurn(
        number=int(row["turn"]) + 1,
        said=_clipped(str(row["said"]).strip()),
        reasoning=_clipped(reasoning),
        after=_clipped(after),
        latent=f"{latent} of {row['tokens']} tokens latent" if latent else "",
        actions=tuple(row["actions"]),
        reward=float(row["reward"]),
        tokens=int(row["tokens"]),
    )


def _parts(said: str, wrote: str) -> tuple[str, str]:
    """Reasoning and what follows it, closing mark included. Reasoning was opened by the context or by the model."""
    for opening, closing in THINK_PAIRS:
        if said.rstrip().endswith(opening) or wrote.lstrip().startswith(opening):
            reasoning, mark, after = wrote.partition(closing)
            return reasoning, f"{mark}{after}"
    return "", wrote


def _clipped(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}… ({len(text) - LONGEST_TEXT} more characters)"
