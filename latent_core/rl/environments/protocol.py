"""What an environment is: a game, a puzzle or a tool in text, of one turn or several.

An environment answers an action with gymnasium's five values (Towers et al., arXiv 2407.17032), observation and action
being text. It knows nothing of models, prompts or tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from latent_core.errors import InfrastructureError

_ROUNDING = 1e-9  # of a sum of rewards, as a share of the lowest return
Info = Mapping[str, Any]
"""What an environment tells beside the observation. Keys with a meaning of their own, each of them optional:

`legal`: tuple of the actions (text) that are legal now, for random play; absent where they cannot be listed.
`valid`: whether the last action was legal; an illegal one changes nothing but the turn count.
`success`: at the end of an episode, whether its goal was reached.
`state`: a hashable value equal for equal states of one instance (anchor states of GiGPO, arXiv 2505.10978).
"""


class EnvironmentFailed(InfrastructureError):
    """An environment could not answer: its server is down, slow or breaks the contract, or an instance cannot be made.

    The episode has no reward then. Callers drop the whole group of episodes on that instance.
    """


class Environment(Protocol):
    """One game at a time. `reset` begins the game of a seed; the same seed and actions give the same answers."""

    def reset(self, seed: int) -> tuple[str, Info]:
        """Begin the instance of `seed`, at least 0; returns the first observation."""
        ...

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        """Take one action. Returns (observation, reward, terminated, truncated, info).

        Any text is an answer: what is no legal action is told so in the observation and does not change the state.
        `truncated` says that the turn limit of the environment's spec was reached. Raises RuntimeError before `reset`
        and after the end, EnvironmentFailed where no answer can be given.
        """
        ...


def falls_below(total: float, lowest: float) -> bool:
    """Whether a sum of rewards is less than the lowest return of its environment, by more than rounding."""
    return total < lowest - _ROUNDING * max(1.0, abs(lowest))


@dataclass(frozen=True)
class EnvironmentSpec:
    """An environment by name, and what a user must know before it is opened."""

    name: str
    version: int
    """Raised when the same seed and actions give other observations or rewards, or `lowest` is another."""
    instruction: str
    """Told to the model before the first observation: the goal and how actions are written."""
    max_turns: int
    """Actions of one episode; the last of them is answered with `truncated` unless it ends the game."""
    open: Callable[[], Environment]
    optimum: Callable[[int], float] | None = None
    """The best expected return of a seed's instance, from an exact solver; None where none is known."""
    lowest: float = 0.0
    """No play has a lower return, whatever its actions and whichever turn it ends after. An answer that breaks the
    format is worth less than this, so play that falls below it is refused: broken answers would pay."""
    takes_text: bool = False
    """Whether an action is all that the model wrote, instead of what it put between answer marks."""
    example: Callable[[int], tuple[str, ...]] | None = None
    """Well-formed actions of a seed's instance that are no better than chance, for environments that list no legal
    ones."""
    content: str = ""
    """Hash of what the environment reads beside its code (a file of problems); empty where it reads nothing."""

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits: equal for environments that answer alike."""
        return hashlib.sha256(f"{self.name}/{self.version}/{self.content}".encode()).hexdigest()
