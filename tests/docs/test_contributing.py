"""The worked examples of CONTRIBUTING are taken from the page and tried."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest

from latent_core.benchmarks import tables
from latent_core.benchmarks.registry import grader_of, open_split
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.errors import InputError
from latent_core.store import ArtifactRef, ArtifactStore, begin
from tasks.stage import Workplace
from tasks.tables import SAMPLES
from tasks.workers.compute import perform
from tests.support.pages import ROOT, Block, blocks

EXAMPLES = {
    block.note.removeprefix("file: "): block
    for block in blocks(ROOT / "CONTRIBUTING.md")
    if block.note.startswith("file: ")
}


def _module(block: Block, package: ModuleType, folder: Path, patch: pytest.MonkeyPatch) -> str:
    """The example as a module of `package`, in a folder of its own; returns its name."""
    name = Path(block.note).stem
    (folder / f"{name}.py").write_text(block.text, encoding="utf-8")
    patch.setattr(package, "__path__", [*package.__path__, str(folder)])
    return f"{package.__name__}.{name}"


@pytest.fixture
def imported() -> Iterator[None]:
    """Modules that a test makes are forgotten after it."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.rpartition(".")[2] in {Path(path).stem for path in EXAMPLES}:
            del sys.modules[name]


def test_examples_are_short_and_name_files_that_are_not_there_yet() -> None:
    assert len(EXAMPLES) == 3
    for path, block in EXAMPLES.items():
        assert len(block.text.splitlines()) < 40 and not (ROOT / path).exists()
        assert (ROOT / path).parent.is_dir()


def test_benchmark_example_is_found_and_reads_its_rows(
    imported: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = EXAMPLES["latent_core/benchmarks/tables/dice.py"]
    _module(block, tables, tmp_path, monkeypatch)
    rows = tmp_path / "dice.jsonl"
    good = {"prompt": "Roll 3 and 4. Sum?", "result": "7", "dice": 2}
    rows.write_text(json.dumps(good) + "\n")
    (problem,) = open_split(BenchmarkConfig(name="dice", test_path=str(rows)), "test").problems(0, 1)
    assert (problem.question, problem.gold, problem.level) == ("Roll 3 and 4. Sum?", "7", "2")
    assert grader_of("dice") is grader_of("gsm8k")
    rows.write_text(json.dumps(good | {"result": None}) + "\n")
    with pytest.raises(InputError, match="1"):
        open_split(BenchmarkConfig(name="dice", test_path=str(rows)), "test").problems(0, 1)


def test_compressor_example_keeps_the_longest_words(
    imported: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import latent_core.compress

    block = EXAMPLES["latent_core/compress/long_words.py"]
    module = import_module(_module(block, latent_core.compress, tmp_path, monkeypatch))
    compressed, empty = module.LongWordsCompressor().compress(
        ["a considerable sum of 12 marbles remains", ""], [1.0, 0.5]
    )
    assert compressed[1.0].text == "a considerable sum of 12 marbles remains"
    assert "considerable" in compressed[0.5].text and " of " not in compressed[0.5].text
    assert empty[0.5].text == ""


def test_stage_example_keeps_short_correct_samples_and_counts_the_others(
    imported: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tasks

    module = import_module(_module(EXAMPLES["tasks/short_samples.py"], tasks, tmp_path, monkeypatch))
    store = ArtifactStore(str(tmp_path / "store"))
    samples = pa.table(
        {
            "question_id": ["a", "b", "c"],
            "reasoning": ["short", "wrong", "long"],
            "verdict": ["correct", "wrong", "correct"],
            "reasoning_tokens": [5, 5, 500],
        }
    )
    with begin(store, ArtifactRef("collect", "c" * 64)) as out:
        with SAMPLES.write(out, samples.schema) as table:
            table.extend(samples.to_pylist())
        collected = out.commit().ref
    call = module.short_samples.call(module.ShortSamplesConfig(), module.ShortSamplesInputs(collected))
    result = perform(call, Workplace(store, tmp_path / "work", lambda *_: None))
    assert list(result.rows_of("short.parquet")) == [{"question_id": "a", "reasoning": "short"}]
    assert result.manifest.content.accounting == {"kept": 1, "wrong": 1, "too_long": 1}
    longer = module.short_samples.call(module.ShortSamplesConfig(max_tokens=600), module.ShortSamplesInputs(collected))
    assert longer.ref.fingerprint != call.ref.fingerprint
