"""Damage to any file of any artifact: named by verification, and healed before a stage computes with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from latent_core.config.base import StageConfig
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, ArtifactWriter, Verification
from tasks.inputs import roles_of
from tasks.merge import Merge, MergeInputs, merge_shards
from tasks.run.repair import InputRepair
from tasks.stage import Outcome, StageCall, Workplace, stage
from tasks.workers.compute import perform

SCHEMA = pa.schema([("word", pa.string())])


class Nothing(StageConfig):
    """No parameters."""


class Sources(NamedTuple):
    """What a stage of the chain is made from."""

    model: ArtifactRef | None = None
    words: ArtifactRef | None = None


def _write_words(out: ArtifactWriter, inputs: Sources, config: Nothing, workplace: Workplace) -> Outcome:
    with out.table("words.parquet", SCHEMA) as table:
        table.extend({"word": f"{'-'.join(roles_of(inputs))}{index}"} for index in range(50))
    return Outcome(accounting={"kept": 50})


def _write_model(out: ArtifactWriter, inputs: Sources, config: Nothing, workplace: Workplace) -> Outcome:
    with out.directory("model") as folder:
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(bytes(range(256)))
    with out.open("curve.json") as handle:
        handle.write(b"[1, 2]")
    return Outcome()


class Chain:
    """A finished flow in miniature: two shards, their merge, a model that was made of it, and a use of both."""

    def __init__(self, folder: Path) -> None:
        self.store = ArtifactStore(folder / "store")
        self._folder = folder
        shards = [stage(f"words{index}", version=1)(_write_words).call(Nothing(), Sources()) for index in range(2)]
        merging = stage("merged", version=1)(merge_shards)
        merged = merging.call(Merge(shards=2), MergeInputs(tuple(shard.ref for shard in shards)))
        model = stage("model", version=1)(_write_model).call(Nothing(), Sources(words=merged.ref))
        self.calls = [*shards, merged, model]
        self.last = stage("use", version=1)(_write_words).call(Nothing(), Sources(model.ref, merged.ref))
        self.computed: list[str] = []
        if not self.files():
            for call in self.calls:
                self.compute(call)
            self.computed.clear()

    @classmethod
    def copy_of(cls, chain: Chain, folder: Path) -> Chain:
        shutil.copytree(chain.store.root, folder / "store")
        return cls(folder)

    def compute(self, call: StageCall) -> Artifact:
        self.computed.append(call.stage.name)
        return perform(call, Workplace(self.store, self._folder / "scratch", lambda *_: None))

    def files(self) -> list[Path]:
        return sorted(path for path in Path(self.store.root).rglob("*") if path.is_file())

    def contents(self) -> list[str]:
        return [self.store.require(call.ref).manifest.content.sha256 for call in self.calls]

    def repair(self) -> InputRepair:
        repair = InputRepair(self.store, self.compute)
        for call in self.calls:
            repair.learn(call)
        return repair

    def heal(self) -> None:
        self.repair().inputs_of(self.last)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3] ^= 4
    path.write_bytes(bytes(raw))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


HARMS: tuple[Callable[[Path], object], ...] = (_truncate, _flip, _empty, Path.unlink)


def _verify(store: ArtifactStore) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["artifacts", "verify", "--store", store.root])
    return result.exit_code, result.output


def test_any_damage_to_any_file_is_named_and_healed_before_it_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = Chain(tmp_path / "whole")
    contents = whole.contents()
    assert _verify(whole.store)[0] == 0
    names = [path.relative_to(whole.store.root) for path in whole.files()]
    assert len(names) == 2 + 2 + 1 + 4  # two shards, their merge without files, the model with three
    for number, (name, harm) in enumerate(product(names, HARMS)):
        case = f"{harm.__name__} {name}"
        damaged = Chain.copy_of(whole, tmp_path / str(number))
        caplog.clear()
        harm(Path(damaged.store.root, name))
        is_gone = name.name == "manifest.json" and harm is Path.unlink
        exit_code, output = _verify(damaged.store)
        if not is_gone or name.parts[0].startswith("words"):  # without its manifest an artifact does not exist,
            assert exit_code == 1 and name.name in output, case  # which only what was merged from it can tell
        damaged.heal()
        assert damaged.computed == [name.parts[0]], case
        assert "damaged and is computed again" in caplog.text and name.name in caplog.text, case
        assert damaged.contents() == contents and _verify(damaged.store)[0] == 0, case


def test_whole_inputs_are_left_alone_and_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain(tmp_path)
    read: list[str] = []
    verify = chain.store.verify

    def recorded(ref: ArtifactRef) -> Verification:
        read.append(ref.stage)
        return verify(ref)

    monkeypatch.setattr(chain.store, "verify", recorded)
    repair = chain.repair()
    for _ in range(2):
        repair.inputs_of(chain.last)
    assert chain.computed == [] and read.count("model") == 1


def test_input_that_this_run_cannot_compute_is_left_for_whoever_opens_it(tmp_path: Path) -> None:
    chain = Chain(tmp_path)
    for path in chain.files():
        path.unlink()
    InputRepair(chain.store, chain.compute).inputs_of(chain.last)
    assert chain.computed == []
    with pytest.raises(FileNotFoundError):
        chain.store.require(chain.calls[0].ref)
