"""Workers on a Dask cluster: the same calls as `workers`, on as many machines as the scheduler knows.

Every machine must reach the store (S3, or a shared folder) and have this project installed; its Dask workers are best
started with one thread each (`dask worker --nthreads 1 --nworkers N`), since a process computes one call at a time to
keep one model warm. Dask itself gives a dead worker's call to another.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import Any

from latent_core.config.runtime import RuntimeConfig
from latent_core.errors import InfrastructureError, InputError
from latent_core.store import ArtifactRef
from latent_core.store.lease import LeaseTerms
from tasks.stage import StageCall
from tasks.workers.budget import Budget, within
from tasks.workers.pool import Progress, ProgressSink, perform_remotely, set_environment

TOPIC = "latent-progress"
CONNECT_SECONDS = 10.0
_one_at_a_time = threading.Lock()  # of a worker process: its warm model is no two threads'


class DaskPool:
    """A `Pool` of at most `runtime.workers` calls at once on the cluster whose scheduler is at `runtime.dask_address`.

    `close` cancels what has not started; Dask cannot interrupt what has, and its result is a hit in a later run.
    """

    def __init__(self, runtime: RuntimeConfig, store_root: str, sink: ProgressSink | None = None) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise InputError("runtime.runner: dask is not installed; pip install 'latent-reasoning[dask]'") from error
        try:
            self._client: Any = Client(runtime.dask_address, timeout=CONNECT_SECONDS, set_as_default=False)
        except OSError as error:
            raise InputError(
                f"runtime.dask_address: no Dask scheduler at {runtime.dask_address} ({error}); start one with "
                "dask scheduler"
            ) from error
        self._runtime = runtime
        self._store_root = store_root
        self._slots = threading.Semaphore(runtime.workers)
        if sink is not None:
            self._client.subscribe_topic(TOPIC, lambda event: sink(Progress(**event[1]["progress"])))

    def compute(
        self,
        call: StageCall,
        budget: Budget | None = None,
        terms: LeaseTerms | None = None,
        companions: Sequence[StageCall] = (),
    ) -> ArtifactRef:
        """Run a call on a worker of the cluster; see `Pool`."""
        from distributed.scheduler import KilledWorker

        def run() -> ArtifactRef:
            answer = self._client.submit(
                _compute,
                call,
                self._store_root,
                self._runtime.threads_per_worker,
                terms,
                companions,
                key=f"{call.title}-{call.ref.fingerprint[:12]}",
                pure=False,
            )
            try:
                ref: ArtifactRef = answer.result()
                return ref
            except KilledWorker as error:
                raise InfrastructureError(f"{call.title}: every Dask worker that tried it died ({error})") from error
            except CancelledError as error:
                raise InfrastructureError(f"{call.title}: the Dask scheduler is gone ({error})") from error

        with self._slots:
            return within(budget, call.title, self._store_root, run)

    def close(self) -> None:
        self._client.close()


def _compute(
    call: StageCall, store_root: str, threads: int, terms: LeaseTerms | None, companions: Sequence[StageCall]
) -> ArtifactRef:
    from distributed import get_worker

    worker = get_worker()
    with _one_at_a_time:
        set_environment(threads)
        return perform_remotely(
            call, store_root, lambda progress: worker.log_event(TOPIC, {"progress": vars(progress)}), terms, companions
        )
