"""How many actions an episode has taken, and whether it may take another."""

from __future__ import annotations

from numbers import Integral

from latent_core.errors import InputError


def check_seed(seed: int) -> None:
    """Raise InputError for a seed that is no whole number, or below 0."""
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise InputError(f"seed: must be a whole number, not {seed!r}")
    if seed < 0:
        raise InputError(f"seed: must be at least 0, not {seed}")


def check_open(is_open: bool) -> None:
    """Raise RuntimeError unless an episode is going on."""
    if not is_open:
        raise RuntimeError("the episode has not begun, or is over: call reset(seed) before the next step")


class TurnCount:
    """The actions of one episode after another; `used` is how many the present one has taken."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._open = False

    def begin(self, seed: int) -> None:
        """Start an episode; raises InputError as `check_seed` does."""
        check_seed(seed)
        self.used, self._open = 0, True

    def take(self) -> None:
        """Count an action; raises RuntimeError before `begin` and after the end."""
        check_open(self._open)
        self.used += 1

    def finish(self, terminated: bool) -> bool:
        """Whether the episode is truncated after this action; ends it if so, or if it is `terminated`."""
        truncated = not terminated and self.used >= self.limit
        self._open = not (terminated or truncated)
        return truncated
