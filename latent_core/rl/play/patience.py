"""How many instances an environment may leave without an answer before what came of the others is no result."""

from __future__ import annotations

from latent_core.rl.environments import EnvironmentFailed

_SHARE = 0.1  # of the instances


class Patience:
    """Counts the instances without an answer, of all that are played."""

    def __init__(self, environment: str, instances: int) -> None:
        self._environment, self._instances = environment, instances
        self.spent = 0

    @property
    def left(self) -> int:
        """How many more may fail."""
        return int(_SHARE * self._instances) - self.spent

    def spend(self, failed: int, failure: EnvironmentFailed | None) -> None:
        """Raises EnvironmentFailed, with what `failure`, the last one, says, where more have failed than may."""
        self.spent += failed
        if self.left < 0:
            raise EnvironmentFailed(
                f"environment: {self._environment} failed in more than a tenth of {self._instances} instances, too "
                f"often to go on. The last time: {failure}"
            ) from failure
