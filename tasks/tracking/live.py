"""Runs of stages that train, begun while they compute: what a trainer logs is on MLflow's page as it comes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, cast

from latent_core.identity import canonical_form
from latent_core.store import ArtifactRef, Manifest
from latent_core.store.manifest import Content
from tasks.stage import StageCall
from tasks.tracking.description import describe
from tasks.tracking.journal import Journal, JournalEntry
from tasks.tracking.parents import LIVE_TAG, nested_tags
from tasks.tracking.stage_runs import LiveRun, begin_run, curve_points, log_metrics
from tasks.workers.compute import record_of, references_of


class LiveRuns:
    """The open runs of one flow's run. What training logs a second time, after an interruption, is left out."""

    def __init__(self) -> None:
        self._open: dict[ArtifactRef, LiveRun] = {}

    def log(
        self,
        client: Any,
        experiment_id: str,
        parent_id: str,
        journal: Journal,
        call: StageCall,
        entries: Iterable[Mapping[str, float]],
    ) -> None:
        """Log what training measured; the first time, begin the run."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        live = self._open.get(call.ref)
        if live is None:
            entry = JournalEntry(call.ref.stage, call.ref.fingerprint, False, call.label)
            tags = nested_tags(journal, entry, parent_id) | {LIVE_TAG: "true"}
            description = describe(_manifest_to_be(call), entry, journal)
            live = LiveRun(begin_run(client, experiment_id, call.ref, description, tags, now))
            self._open[call.ref] = live
        metrics = []
        for name, value, step in (point for entry in entries for point in curve_points(entry)):
            if (name, step) not in live.points:
                live.points.add((name, step))
                metrics.append(Metric(name, value, now, step))
        log_metrics(client, live.id, metrics)

    def take(self, client: Any, ref: ArtifactRef) -> LiveRun | None:
        """The open run of a stage that is done now, to be completed; None where there is none."""
        live = self._open.pop(ref, None)
        if live is not None:
            client.delete_tag(live.id, LIVE_TAG)
        return live

    def end(self, client: Any, status: str) -> None:
        """The flow's run has ended: so have the stages that were not done, none of which is a finished run of them."""
        for live in self._open.values():
            client.set_terminated(live.id, "KILLED" if status == "FINISHED" else status)
        self._open.clear()


def _manifest_to_be(call: StageCall) -> Manifest:
    """What is known of a call's manifest before there is one."""
    identity = cast("dict[str, Any]", canonical_form(call.config.identity()))
    content = Content(
        stage=call.stage.name,
        stage_version=call.stage.version,
        fingerprint=call.ref.fingerprint,
        identity=identity,
        parents=references_of(call),
        files=(),
    )
    return Manifest(content, record_of(call))
