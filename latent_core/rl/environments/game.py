"""What the games have in common: legal actions by name, a count of turns, an end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from random import Random

from latent_core.rl.environments.protocol import Info
from latent_core.rl.environments.turn_count import check_seed


def instance_random(game: str, seed: int) -> Random:
    """The random numbers of one instance: the same on every machine, others for every game.

    Raises InputError as `check_seed` does.
    """
    check_seed(seed)
    return Random(f"{game}/{seed}")


class Game(ABC):
    """An environment whose legal actions can be listed at any time. A subclass keeps the game's state.

    An action is compared with the legal ones without its outer white space and without regard to case. Anything else is
    illegal: it costs a turn and the reward `illegal_reward`, and changes nothing.
    """

    illegal_reward = 0.0

    def __init__(self, max_turns: int) -> None:
        self._max_turns = max_turns
        self._turns_left = 0
        self._is_running = False

    @property
    def turns_left(self) -> int:
        return self._turns_left

    def reset(self, seed: int) -> tuple[str, Info]:
        """Begin the instance of `seed`; returns the first observation. Raises InputError as `check_seed` does."""
        self._begin(seed)
        self._turns_left = self._max_turns
        self._is_running = True
        return self._observation(), {"legal": self._legal(), "state": self._state()}

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        """Take one action, as the protocol says. Raises RuntimeError before `reset` and after the end."""
        if not self._is_running:
            raise RuntimeError("step: no game is running; call reset first, and again after the end of a game")
        legal = self._legal()
        wanted = action.strip().lower()
        chosen = next((name for name in legal if name.lower() == wanted), None)
        self._turns_left -= 1
        if chosen is None:
            reward = self.illegal_reward
            observation = f"Illegal action. Legal actions: {', '.join(legal)}\n{self._reminder()}"
        else:
            reward = self._play(chosen)
            observation = self._observation()
        terminated = self._is_over()
        truncated = not terminated and self._turns_left == 0
        self._is_running = not (terminated or truncated)
        info = {
            "legal": self._legal() if self._is_running else (),
            "valid": chosen is not None,
            "state": self._state(),
        }
        if not self._is_running and (success := self._is_won()) is not None:
            info["success"] = success
        return observation, reward, terminated, truncated, info

    @abstractmethod
    def _begin(self, seed: int) -> None:
        """Set up the instance of `seed`."""

    @abstractmethod
    def _legal(self) -> tuple[str, ...]:
        """The legal actions of the present state; never empty before the end."""

    @abstractmethod
    def _play(self, action: str) -> float:
        """Take a legal action; returns its reward."""

    @abstractmethod
    def _is_over(self) -> bool:
        """Whether the game has ended by its own rules."""

    @abstractmethod
    def _is_won(self) -> bool | None:
        """Whether the goal was reached; None for a game without a goal to reach."""

    @abstractmethod
    def _observation(self) -> str:
        """The present state, in text."""

    def _reminder(self) -> str:
        """The present state once more, after an illegal action."""
        return self._observation()

    @abstractmethod
    def _state(self) -> Hashable:
        """A value equal for equal states of one instance."""
