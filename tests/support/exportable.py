"""A finished run in a store without any computing: the packaged model stands for a trained one, with its journal."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from latent_core.config.tokenskip import TokenSkipConfig
from latent_core.evaluation.summary import summarise
from latent_core.identity import fingerprint
from latent_core.models.source import open_model
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, Reference, begin
from tasks.tables import SAMPLES
from tasks.tracking.journal import Journal, JournalEntry
from tests.support.graded import graded_row
from tests.support.stage_bench import MINI

EXAMPLE = pa.schema([("question_id", pa.string()), ("ratio", pa.float64()), ("input_ids", pa.list_(pa.int32()))])
PROBLEMS = Reference(None, "cd" * 32)
SAMPLING = {"temperature": 0, "samples": 1, "max_new_tokens": 77}
ENVIRONMENT = {"commit": "0123456789ab", "python": "3.11.7", "torch": "2.13.0"}


class Exportable:
    """A collection in two shards, examples, a trained model with an adapter, and two evaluations."""

    def __init__(
        self,
        folder: Path,
        model: str = "latent-mini",
        base: Reference | ArtifactRef | None = None,
        *,
        has_journal: bool = True,
    ) -> None:
        self.store = ArtifactStore(folder / "store")
        self.base = base or Reference(None, MINI.fingerprint)
        benchmark = {"problems": {"name": "gsm8k", "train_path": None, "test_path": None}}
        shards = [self._samples("collect_shard", number, {"problems": PROBLEMS}, benchmark) for number in range(2)]
        self.collected = self._merged(shards)
        self.prepared = self._prepared()
        self.trained = self._trained()
        self.evaluations = [self._evaluated(ratio) for ratio in (1.0, 0.5)]
        config = TokenSkipConfig.model_validate({"model": model, "store": self.store.root}).model_dump(mode="json")
        made = [JournalEntry(one.ref.stage, one.ref.fingerprint, False, "dual-seed1") for one in (self.trained,)]
        journal = Journal("e" * 32, "tokenskip-math", "", config, 1_700_000_000.0, stages=made)
        journal.close("FINISHED")
        if has_journal:
            journal.write(self.store)

    def _ref(self, stage: str, identity: Mapping[str, Any], parents: Mapping[str, Any]) -> ArtifactRef:
        prints = {role: parent.fingerprint for role, parent in parents.items()}
        return ArtifactRef(stage, fingerprint(stage, 1, dict(identity), prints))

    def _samples(self, stage: str, number: int, parents: Mapping[str, Any], benchmarks: Mapping[str, Any]) -> Artifact:
        identity = {"number": number}
        with begin(self.store, self._ref(stage, identity, parents)) as out:
            with SAMPLES.write(out) as table:
                table.extend(graded_row(index, "wrong" if index == 1 else "correct") for index in range(3))
            return out.commit(config=identity, parents=parents, record=_record(benchmarks))

    def _merged(self, shards: list[Artifact]) -> Artifact:
        parents = {f"shard_{number}": shard.ref for number, shard in enumerate(shards)}
        with begin(self.store, self._ref("collect", {"shards": 2}, parents)) as out:
            for shard in shards:
                out.add_shard(shard)
            return out.commit(config={"shards": 2}, parents=parents, record=_record({}), accounting={"kept": 6})

    def _prepared(self) -> Artifact:
        identity = {"ratios": [1, 0.7, 0.5]}
        parents = {"samples": self.collected.ref, "model": self.base}
        with begin(self.store, self._ref("prepare", identity, parents)) as out:
            for name, count in (("train", 5), ("validation", 2)):
                with out.table(f"{name}.parquet", EXAMPLE) as table:
                    table.extend({"question_id": f"q{n}", "ratio": 0.5, "input_ids": [n, n]} for n in range(count))
            return out.commit(
                config=identity,
                parents=parents,
                record=_record({}),
                accounting={"kept": 7, "wrong": 2},
            )

    def _trained(self) -> Artifact:
        identity = {"steps": 3, "learning_rate": 0.001}
        parents = {"model": self.base, "prepared": self.prepared.ref}
        with begin(self.store, self._ref("train", identity, parents)) as out:
            with out.directory("weights/model") as folder:
                for path in open_model("latent-mini").directory.iterdir():
                    shutil.copyfile(path, folder / path.name)
            with out.directory("weights/adapter") as folder:
                (folder / "adapter_config.json").write_text(json.dumps({"r": 4, "base_model_name_or_path": None}))
                (folder / "adapter_model.safetensors").write_bytes(b"weights")
            return out.commit(config=identity, parents=parents, record=_record({}))

    def _evaluated(self, ratio: float) -> Artifact:
        identity = {"ratio": ratio, "prompting": "ratio", "sampling": SAMPLING, "questions": 20}
        rows = [graded_row(index, "wrong" if index < 20 * (1 - ratio) / 2 else "correct") for index in range(20)]
        parents = {"model": self.trained.ref, "problems": Reference(None, "ef" * 32)}
        with begin(self.store, self._ref("evaluate", identity, parents)) as out:
            with SAMPLES.write(out) as table:
                table.extend(rows)
            benchmark = {"problems": {"name": "gsm8k", "test_path": None}}
            return out.commit(
                config=identity, parents=parents, metrics=summarise(rows).to_metrics(), record=_record(benchmark)
            )

    def report(self, parents: Mapping[str, ArtifactRef]) -> ArtifactRef:
        """A report of these models, by role."""
        with begin(self.store, self._ref("report", {"title": "A run"}, parents)) as out:
            return out.commit(config={"title": "A run"}, parents=parents).ref


def _record(benchmarks: Mapping[str, Any]) -> dict[str, Any]:
    return {"benchmarks": benchmarks, "environment": ENVIRONMENT, "started": 1_700_000_000.0, "seconds": 90.0}
