"""Finished runs of the main job in a store, with their records, without a model: a training and its evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latent_core.config.tokenskip import TokenSkipConfig
from latent_core.evaluation.summary import summarise
from latent_core.identity import fingerprint
from latent_core.store import ArtifactRef, ArtifactStore, Reference, begin
from tasks.run.history import RunRecord
from tasks.tables import SAMPLES
from tasks.tracking.journal import Journal
from tests.support.nights import answered_row

QUESTIONS = 40
PROBLEMS = Reference(None, "ab" * 32)


class Lab:
    """A store and the runs that are made in it, an hour after each other."""

    def __init__(self, folder: Path) -> None:
        self.store = ArtifactStore(folder / "store")
        self._runs = 0

    def commit(
        self,
        stage: str,
        identity: Mapping[str, Any],
        parents: Mapping[str, Reference | ArtifactRef],
        *,
        right: int | None = None,
        version: int = 1,
    ) -> ArtifactRef:
        """An artifact; an evaluation has `right` answers of QUESTIONS. One that is there stays."""
        prints = {role: parent.fingerprint for role, parent in parents.items()}
        ref = ArtifactRef(stage, fingerprint(stage, version, dict(identity), prints))
        if self.store.get(ref.stage, ref.fingerprint) is not None:
            return ref
        with begin(self.store, ref) as out:
            metrics: dict[str, Any] = {}
            if right is not None:
                rows = [answered_row(number, number < right) for number in range(QUESTIONS)]
                with SAMPLES.write(out) as table:
                    table.extend(rows)
                metrics = summarise(rows).to_metrics()
            if stage == "report":
                with out.open("report.html") as page:
                    page.write(b"<p>results</p>")
            out.commit(stage_version=version, config=dict(identity), parents=parents, metrics=metrics)
        return ref

    def report(self, rate: float, right: int) -> ArtifactRef:
        """The report of a dual model trained at this learning rate, with so many right answers at ratio 0.5."""
        samples = self.commit("collect", {"questions": 100}, {"problems": PROBLEMS})
        trained = self.commit("train", {"learning_rate": rate, "steps": 10}, {"samples": samples})
        found = {
            f"evaluation/dual/ratio {ratio:g}": self.commit(
                "evaluate", {"ratio": ratio}, {"model": trained, "problems": PROBLEMS}, right=answers
            )
            for ratio, answers in ((1.0, 38), (0.5, right))
        }
        return self.commit("report", {"title": "TokenSkip"}, {**found, "train/dual": trained})

    def run(self, rate: float, result: ArtifactRef | None, failure: BaseException | None = None) -> str:
        """The record of a run at this learning rate; returns its id."""
        journal = self.begin(rate)
        record = RunRecord(self.store, journal, f"tokenskip-math: train.learning_rate {rate:g}")
        record.end(failure, result, computed=3, stages=5)
        return journal.id

    def begin(self, rate: float) -> Journal:
        """What a run knows of itself when it begins."""
        config = TokenSkipConfig.model_validate({"train": {"learning_rate": rate}, "store": self.store.root})
        self._runs += 1
        started = 1_700_000_000.0 + 3600 * self._runs
        return Journal(f"{self._runs:x}{'0' * 31}", "tokenskip-math", "", config.model_dump(mode="json"), started)


def two_runs(folder: Path) -> Lab:
    """Two finished runs that differ in the learning rate alone: 30 of 40 right answers, then 10."""
    lab = Lab(folder)
    for rate, right in ((1e-3, 30), (2e-3, 10)):
        lab.run(rate, lab.report(rate, right))
    return lab
