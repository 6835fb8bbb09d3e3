"""A run's connection to MLflow. It writes in a thread of its own, so that tracking never stops the work.

A run waits at most `PATIENCE` seconds in total for tracking that is down, slow or wrong. Where the server refuses one
entry, the others are still written. `latent track sync` rebuilds what did not arrive from the store: stages from their
manifests, the run from its journal.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from datetime import datetime
from typing import TYPE_CHECKING, Any

from latent_core.addresses import without_passwords
from latent_core.config.base import StageConfig
from latent_core.config.runtime import TrackingConfig
from latent_core.errors import LatentError
from latent_core.store import Artifact, ArtifactRef, ArtifactStore
from tasks.environment import code_version
from tasks.stage import StageCall
from tasks.tracking.client import one_line, open_client, tracking_uri
from tasks.tracking.code_version import command, user
from tasks.tracking.description import describe
from tasks.tracking.ending import is_cancellation, reason
from tasks.tracking.journal import Journal, JournalEntry, JournalModel, runs
from tasks.tracking.live import LiveRuns
from tasks.tracking.models import register
from tasks.tracking.parents import close_parent, create_parent, log_headline, nested_tags, open_parent
from tasks.tracking.stage_runs import log_artifact_run, whole_run
from tasks.tracking.system_metrics import start_monitor
from tasks.tracking.version_text import version_text
from tasks.workers.pool import Progress

if TYPE_CHECKING:
    from mlflow.exceptions import MlflowException

logger = logging.getLogger("latent")
PATIENCE = 5.0
"""Seconds that a run waits at its end for a tracking server."""
LOCAL_PATIENCE = 600.0
"""The same for a local database, which is no server that may be away, and makes its tables when it is first opened."""
_LOOK = 0.2  # seconds between two looks whether the thread still lives
_gaps: ContextVar[list[str] | None] = ContextVar("gaps", default=None)


@contextmanager
def gaps_told() -> Iterator[list[str]]:
    """What MLflow lacks of the runs that end within the block, one sentence a run that it lacks something of."""
    told: list[str] = []
    token = _gaps.set(told)
    try:
        yield told
    finally:
        _gaps.reset(token)


class Tracker:
    """Writes to MLflow until it fails, then warns once and stays silent; an entry that it refuses is left out."""

    def __init__(self, config: TrackingConfig, name: str, parameters: StageConfig, store: ArtifactStore) -> None:
        self._config = config
        self._store = store
        flow_run_id = _flow_run_id()
        self.journal = Journal(
            id=uuid.uuid4().hex,
            flow=name,
            flow_run_id=flow_run_id,
            config=parameters.model_dump(mode="json"),
            started=time.time(),
            user=user(),
            code=code_version() if config.enabled else "",
            command=command(),
        )
        self._patience = PATIENCE if tracking_uri(config).startswith("http") else LOCAL_PATIENCE
        self._client: Any = None
        self._experiment_id = ""
        self._parent_id = ""
        self._is_resumed = False
        self._logged: dict[ArtifactRef, str] = {}  # the runs of stages, also those of earlier attempts and other runs
        self._calls: dict[str, StageCall] = {}  # by fingerprint
        self._live = LiveRuns()
        self._monitor: Any = None
        self._off = not config.enabled
        self._outage = ""
        self._refusals: set[str] = set()
        self._actions: queue.SimpleQueue[Callable[[], object] | threading.Event | None] = queue.SimpleQueue()
        self._told = _gaps.get()
        # In the context of the flow, so that Prefect files what is logged with its run.
        self._thread = threading.Thread(target=copy_context().run, args=(self._work,), name="tracking", daemon=True)
        if config.enabled:
            self._actions.put(self._open)
            self._thread.start()

    def stage(self, artifact: Artifact, *, cached: bool, label: str = "") -> None:
        """A nested run for one artifact, unless it is cached and has one: then that is linked."""
        entry = JournalEntry(artifact.ref.stage, artifact.ref.fingerprint, cached, label)
        self.journal.stages.append(entry)

        def write() -> None:
            if entry.ref in self._logged:  # by an earlier attempt
                return
            log_headline(self._client, self._parent_id, entry, artifact.manifest)
            first = whole_run(self._client, self._experiment_id, entry.ref) if cached else None
            if first is None:
                tags = nested_tags(self.journal, entry, self._parent_id)
                description = describe(artifact.manifest, entry, self.journal)
                live = self._live.take(self._client, entry.ref)
                first = log_artifact_run(self._client, self._experiment_id, artifact, tags, description, live)
            self._logged[entry.ref] = first

        self._do(write)

    def expect(self, call: StageCall) -> None:
        """The run may compute this call: what its progress measures can be followed."""
        self._calls[call.ref.fingerprint] = call

    def follow(self, progress: Progress) -> None:
        """What a stage measured while it computes, as training does, goes to a run that is open until it is done."""
        call = self._calls.get(progress.fingerprint)
        if call is not None and progress.measured:
            self._do(
                lambda: self._live.log(
                    self._client, self._experiment_id, self._parent_id, self.journal, call, progress.measured
                )
            )

    def register_model(self, name: str, ref: ArtifactRef, variant: str) -> None:
        """Make a trained model a version of `name` in the model registry."""
        self.journal.models.append(JournalModel(name, variant, ref.stage, ref.fingerprint))

        def write() -> None:
            run_id = self._logged.get(ref) or whole_run(self._client, self._experiment_id, ref)
            text = version_text(self.journal, ref, variant, self._store)
            register(self._client, name, ref, self._store, variant, text, run_id)

        self._do(write)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Tags of the parent run, by which later runs find it."""
        self.journal.tags.update(tags)

        def write() -> None:
            for name, value in tags.items():
                self._client.set_tag(self._parent_id, name, value)

        self._do(write)

    def describe(self) -> str:
        """The parent run's id and where it is tracked; empty when tracking is off."""
        self._wait()
        return "" if self._off else f"run `{self._parent_id}` at `{without_passwords(self._client.tracking_uri)}`"

    def gap(self) -> str:
        """What MLflow lacks of this run so far, and why, in a sentence; empty when it lacks nothing."""
        if self._outage:
            return f"tracking was off from {self._outage}; `latent track sync` rebuilds it"
        if self._refusals:
            return f"tracking refused some of it ({'; '.join(sorted(self._refusals))}); `latent track sync` tries again"
        return ""

    def url(self) -> str | None:
        """A link to the parent run where the tracking server has pages."""
        self._wait()
        uri = "" if self._off else without_passwords(self._client.tracking_uri)
        return f"{uri}/#/experiments/{self._experiment_id}/runs/{self._parent_id}" if uri.startswith("http") else None

    def finish(self, *, failed: bool, why: BaseException | None = None) -> None:
        """Close the parent run, and leave the journal from which it can be rebuilt. `why` is what ended the run early;
        what is no error of the run, such as Ctrl-C, has cancelled it."""
        if not self._config.enabled:
            return
        status = ("KILLED" if is_cancellation(why) else "FAILED") if failed else "FINISHED"
        self.journal.close(status, reason(why))
        self.journal.write(self._store)
        self._do(self._close)
        self._wait()
        self._actions.put(None)

    def _close(self) -> None:
        whole = self.journal
        if self._is_resumed:  # what earlier attempts did belongs to the run too
            whole = next((found for found in runs(self._store) if found.run == whole.run), whole)
        close_parent(self._client, self._experiment_id, self._parent_id, whole, self._store, self._logged)
        self._live.end(self._client, self.journal.status)
        if self._monitor is not None:
            self._monitor.finish()

    def tell_gap(self) -> None:
        """Say of a finished run what MLflow lacks of it: on its Prefect page, and to whoever asked (`gaps_told`)."""
        gap = self.gap()
        if not gap:
            return
        if self._told is not None:
            self._told.append(gap)
        if self.journal.flow_run_id:
            _publish(f"{self.journal.flow}-tracking", f"MLflow: {gap}\n")

    def _open(self) -> None:
        self._client, self._experiment_id = open_client(self._config)
        if not self.journal.flow_run_id:  # nothing that could be tried again
            self._parent_id = create_parent(self._client, self._experiment_id, self.journal)
            self._measure_machine(resumed=False)
            return
        parent = open_parent(self._client, self._experiment_id, self.journal, is_mine=True)
        if parent.status != "RUNNING":
            self._client.update_run(parent.id, status="RUNNING")
        self._parent_id, self._logged, self._is_resumed = parent.id, dict(parent.stages), not parent.is_new
        self._measure_machine(resumed=self._is_resumed)

    def _measure_machine(self, *, resumed: bool) -> None:
        if self._config.system_metrics:
            self._monitor = start_monitor(self._client.tracking_uri, self._parent_id, resumed=resumed)

    def _do(self, action: Callable[[], object]) -> None:
        if not self._off:
            self._actions.put(action)

    def _wait(self) -> None:
        """Wait until everything so far is written; when patience ends, tracking ends too."""
        if self._off:
            return
        written, started = threading.Event(), time.monotonic()
        self._actions.put(written)
        while not written.wait(min(self._patience, _LOOK)):
            if not self._thread.is_alive() or time.monotonic() - started > self._patience:
                self._give_up("the tracking server is too slow")
                break
        self._patience -= time.monotonic() - started  # one sum for the whole run

    def _work(self) -> None:
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        while (action := self._actions.get()) is not None:
            if isinstance(action, threading.Event):
                action.set()
            elif not self._off:
                try:
                    action()
                except (MlflowException, RequestException, SQLAlchemyError, OSError, LatentError) as error:
                    if isinstance(error, MlflowException) and self._parent_id and _is_refusal(error):
                        self._leave_out(str(error))
                    else:
                        self._give_up(str(error))

    def _leave_out(self, error: str) -> None:
        reason = one_line(error)
        if reason not in self._refusals:
            self._refusals.add(reason)
            logger.warning("tracking: refused and left out (`latent track sync` tries it again): %s", reason)

    def _give_up(self, error: str) -> None:
        if not self._off:
            reason = one_line(error)
            self._outage = f"{datetime.now():%H:%M} ({reason})"
            self._off = True
            logger.warning("tracking is off for the rest of this run (`latent track sync` rebuilds it): %s", reason)


def _is_refusal(error: MlflowException) -> bool:
    """Whether MLflow works and would not have this one entry: a bad value, a right that is lacking, a name unknown."""
    status: int = error.get_http_status_code()
    return status in (400, 403, 404, 409)


def _publish(key: str, markdown: str) -> None:
    """Best effort: what a page does not show, the log does."""
    import httpx
    from prefect.artifacts import create_markdown_artifact

    try:
        create_markdown_artifact(key=key, markdown=markdown, description="What MLflow lacks of this run")
    except (httpx.HTTPError, OSError, RuntimeError) as error:
        logger.warning("Prefect's page does not say what MLflow lacks of this run: %s", error)


def _flow_run_id() -> str:
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    return str(context.flow_run.id) if context is not None and context.flow_run is not None else ""
