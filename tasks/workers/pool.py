"""What workers do for a run, wherever they are: compute a call, and report how far it is."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from latent_core.store import ArtifactRef, ArtifactStore
from latent_core.store.lease import LeaseTerms
from tasks.stage import StageCall, Workplace
from tasks.workers.budget import Budget
from tasks.workers.joined import perform_with


@dataclass(frozen=True)
class Progress:
    """How far a worker is with a call, and what it measured since it last said so."""

    title: str
    fingerprint: str
    done: int
    total: int
    tokens: int
    measured: tuple[Mapping[str, float], ...] = ()


ProgressSink = Callable[[Progress], None]


class Pool(Protocol):
    """A number of workers; calls that find all of them busy wait."""

    def compute(
        self,
        call: StageCall,
        budget: Budget | None = None,
        terms: LeaseTerms | None = None,
        companions: Sequence[StageCall] = (),
    ) -> ArtifactRef:
        """Run a call on the next free worker. Raises InfrastructureError when the worker dies, else what it raised.

        Raises BudgetReached instead of starting the call when `budget` is used up by then. With `terms` the worker
        holds the artifact's lease while it computes. `companions` are computed along with it (`tasks.workers.joined`).
        """
        ...

    def close(self) -> None:
        """Stop all workers; a call in progress commits nothing."""
        ...


def perform_remotely(
    call: StageCall,
    store_root: str,
    sink: ProgressSink,
    terms: LeaseTerms | None = None,
    companions: Sequence[StageCall] = (),
) -> ArtifactRef:
    """A call on a machine of a cluster, with that machine's own temporary folder as scratch."""

    store, scratch = ArtifactStore(store_root), Path(tempfile.gettempdir()) / "latent-reasoning"
    return perform_with(call, companions, lambda one: workplace_for(one, store, scratch, sink), terms).ref


def workplace_for(call: StageCall, store: ArtifactStore, scratch: Path, sink: ProgressSink) -> Workplace:
    """A folder of the call's own below `scratch`, and its progress to `sink`."""
    waiting: list[Mapping[str, float]] = []

    def progress(done: int, total: int, tokens: int) -> None:
        measured = tuple(waiting)
        waiting.clear()
        sink(Progress(call.title, call.ref.fingerprint, done, total, tokens, measured))

    return Workplace(store, scratch / call.ref.key, progress, waiting.extend)


def set_environment(threads: int) -> None:
    """Set the variables of a worker process, before torch is imported there."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads cost several times the work on busy cores
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
