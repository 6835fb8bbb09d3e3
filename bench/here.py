"""A run that computes in this process and thread, without Prefect: for benches and tests of what surrounds a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from flows.launch.registry import FlowEntry
from latent_core.config.base import StageConfig
from latent_core.store import Artifact, ArtifactRef, ArtifactStore
from tasks.run.execution import Run
from tasks.run.repair import InputRepair
from tasks.stage import StageCall, Workplace
from tasks.tracking.tracker import Tracker
from tasks.workers.compute import perform


class RunHere(Run):
    """Looks up, repairs, computes and journals as any run does; each result is there when `stage` returns."""

    def __enter__(self) -> Run:
        self._repair = InputRepair(self.store, self._perform_here, self._hits.set_aside, self._hits.is_outdated)
        self._tracker = Tracker(self.tracking, self.name, self.config, self.store)
        self.computed: list[StageCall] = []
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._tracker is not None
        self._tracker.finish(failed=error is not None)

    def finish(self) -> None:
        """Everything was computed where it was asked for."""

    def _ask(self, call: StageCall) -> ArtifactRef:
        assert self._repair is not None
        self._repair.learn(call)
        if self._hits.find(call) is None:
            self._hits.clear(call)
            self._repair.inputs_of(call)
            self._perform_here(call)
        self._asked[call.ref] = call
        return call.ref

    def _perform_here(self, call: StageCall) -> None:
        self.computed.append(call)
        made_from = self._hits.renewable(call)
        perform(call, Workplace(self.store, Path(self.runtime.work_dir) / call.ref.key, lambda *_: None))
        self._hits.renewed(call, made_from)


def run_here(name: str, entry: FlowEntry, config: Any, force: Sequence[str] = ()) -> tuple[Artifact, list[StageCall]]:
    """A flow from its stages to its verdict; returns its result, and what was computed on the way."""
    with open_here(name, config) as run:
        result = run.artifact(entry.compose(config, run))
        entry.conclude(config, run, result)
        return result, run.computed


def open_here(name: str, config: StageConfig | Any) -> RunHere:
    return RunHere(name, config, ArtifactStore(config.store), config.runtime, config.tracking)
