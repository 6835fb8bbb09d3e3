"""Where Prefect keeps what tasks return: small references in the store's own root, from which gc takes the old.

On the disk of the machine that made them, nobody else could read them. They prove nothing: Prefect writes one file for
each task run and is told never to look for one (`refresh_cache`), so a run that is retried asks the store what exists.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from prefect.filesystems import WritableFileSystem

from latent_core.store import ArtifactStore
from latent_core.store.layout import RESULTS, check_relative


class StoreResults(WritableFileSystem):
    """Prefect's files below a store's root, which holds no credentials: those stay in the environment."""

    _block_type_name = "Latent store results"
    _block_type_slug = "latent-store-results"

    root: str

    def read_path(self, path: str, _sync: bool = True) -> bytes:  # type: ignore[override]  # as Prefect's engine calls it
        return ArtifactStore(self.root).read(_key(path))

    def write_path(self, path: str, content: bytes, _sync: bool = True) -> None:  # type: ignore[override]
        ArtifactStore(self.root).replace(_key(path), content)

    async def aread_path(self, path: str) -> bytes:
        return await asyncio.to_thread(self.read_path, path)

    async def awrite_path(self, path: str, content: bytes) -> None:
        await asyncio.to_thread(self.write_path, path, content)


class OneFilePerTaskRun(CachePolicy):
    """Names a result after its task run, so that nothing can be taken for the result of another one."""

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str:
        return f"{task_ctx.task.name}-{task_ctx.task_run.id}"


def results_in(store: ArtifactStore) -> StoreResults:
    """The results folder of a store, known to the Prefect server by a name that follows from the root."""
    block = StoreResults(root=store.root)
    block.save(f"store-{hashlib.sha256(store.root.encode()).hexdigest()[:16]}", overwrite=True)
    return block


def _key(path: str) -> str:
    return f"{RESULTS}/{check_relative(path)}"
