"""Limits on what a stage may spend in one run; reaching one stops the run between shards, and nothing is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from latent_core.errors import BudgetReached
from latent_core.store import Artifact, ArtifactRef, ArtifactStore


@dataclass
class Budget:
    """Generated tokens over all shards of a stage, and seconds since the run began.

    Shards in the store count from when the run meets them, which may be after a missing one has started. Checked before
    a shard starts, so running shards go on to their end: it is overrun by at most one shard a worker.
    """

    field_name: str
    max_tokens: int | None = None
    max_seconds: float | None = None
    tokens: int = 0
    started: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def admit(self, title: str) -> None:
        """Raises BudgetReached when no further shard may start."""
        with self._lock:
            seconds = time.monotonic() - self.started
            if self.max_tokens is not None and self.tokens >= self.max_tokens:
                spent, limit = f"{self.tokens:,} tokens", f"{self.field_name}.max_tokens_total {self.max_tokens:,}"
            elif self.max_seconds is not None and seconds >= self.max_seconds:
                spent, limit = f"{seconds:.0f} s", f"{self.field_name}.max_seconds {self.max_seconds:g}"
            else:
                return
        raise BudgetReached(
            f"{title}: not started, {spent} reached {limit}; finished shards are kept, run again with a higher limit"
        )

    def spend(self, artifact: Artifact) -> None:
        with self._lock:
            self.tokens += int(artifact.manifest.content.metrics.get("tokens", 0))


def within(budget: Budget | None, title: str, store_root: str, compute: Callable[[], ArtifactRef]) -> ArtifactRef:
    """Compute a call on a worker that is held, and charge its budget before the next call takes that worker.

    Raises BudgetReached instead of computing when the budget is used up.
    """
    if budget is None:
        return compute()
    budget.admit(title)
    ref = compute()
    budget.spend(ArtifactStore(store_root).require(ref))
    return ref
