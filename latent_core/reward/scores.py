"""What is asked of a scorer and what it answers; light enough for a client without torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

LOWEST = -20.0
"""The least score of a well-formed completion, nats a token; rarer golds (P < 2e-9 a token) are not told apart."""
MALFORMED = -30.0
"""The score of a completion without an end of thinking, and of an empty one."""


class Status(StrEnum):
    """What became of a completion."""

    SCORED = "scored"
    NO_THINK_END = "no_think_end"
    EMPTY = "empty"


@dataclass(frozen=True)
class ScoreRequest:
    """A prompt, a completion as sampled (through `</think>` at least) and the answer it shall lead to, as token ids."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    gold: str


@dataclass(frozen=True)
class Score:
    """`score` in nats a token; `variant` is the spelling of the gold that won, "" when none was scored."""

    score: float
    status: Status
    variant: str = ""
    gold_tokens: int = 0
