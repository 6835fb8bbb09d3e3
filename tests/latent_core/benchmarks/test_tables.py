"""Benchmarks by name: MMLU from local files, reasoning-gym's tasks, and one form for loading and grading."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from latent_core.benchmarks import gym, table, tables
from latent_core.benchmarks.registry import open_split
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.errors import InputError
from latent_core.scoring import grade

ROW = {"question": "Which is a prime? ", "choices": ["8", "9", "11", "15"], "answer": 2, "subject": "number_theory"}


def _mmlu(path: Path, rows: list[dict[str, Any]]) -> BenchmarkConfig:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return BenchmarkConfig(name="mmlu", test_path=str(path))


@pytest.mark.parametrize("name", ["mmlu.jsonl", "mmlu.parquet"])
def test_mmlu_row_becomes_a_lettered_question(tmp_path: Path, name: str) -> None:
    (problem,) = open_split(_mmlu(tmp_path / name, [ROW]), "test").problems(0, 1)
    assert problem.question == (
        "Which is a prime?\nA. 8\nB. 9\nC. 11\nD. 15\nAnswer with the letter of the correct option."
    )
    assert (problem.gold, problem.level) == ("C", "number_theory")
    assert grade("The answer is C", problem.gold, benchmark="mmlu").outcome == "correct"


@pytest.mark.parametrize(("answer", "gold"), [("B", "B"), (" b", "B"), ("3", "D"), (0, "A")])
def test_mmlu_answer_is_a_place_or_a_letter(tmp_path: Path, answer: object, gold: str) -> None:
    (problem,) = open_split(_mmlu(tmp_path / "t.jsonl", [{**ROW, "answer": answer}]), "test").problems(0, 1)
    assert problem.gold == gold


@pytest.mark.parametrize("answer", [4, -1, "E", None, True, "11"])
def test_mmlu_answer_outside_the_choices_names_the_row(tmp_path: Path, answer: object) -> None:
    config = _mmlu(tmp_path / "t.jsonl", [ROW, {**ROW, "answer": answer}])
    with pytest.raises(InputError, match="row 1 of mmlu/test has no gold answer"):
        open_split(config, "test")


def test_every_benchmark_that_can_be_opened_can_be_graded() -> None:
    for name in ("word_problems", *tables.table_benchmarks()):
        assert grade(r"\boxed{C}", "C", benchmark=name).outcome == "correct"


def test_file_in_the_folder_of_tables_is_a_benchmark_without_any_other_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "capitals.py").write_text(
        "from latent_core.benchmarks.forms import Grader, PromptForm\n"
        "from latent_core.benchmarks.table import TableBenchmark\n"
        "BENCHMARK = TableBenchmark(\n"
        "    name='capitals', hub=None, question=('country',), gold=lambda row: row['letter'], level='continent',\n"
        "    prompt=PromptForm.OPTIONS, grader=Grader.LETTER,\n"
        ")\n"
    )
    monkeypatch.setattr(tables, "__path__", [*tables.__path__, str(folder)])
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"country": "Peru?", "choices": ["Lima", "Quito"], "letter": "A", "continent": "SA"}))
    (problem,) = open_split(BenchmarkConfig(name="capitals", test_path=str(rows)), "test").problems(0, 1)
    assert problem.question.splitlines()[:2] == ["Peru?", "A. Lima"] and problem.level == "SA"
    assert grade(r"\boxed{A. Lima}", problem.gold, benchmark="capitals").outcome == "correct"
    with pytest.raises(InputError, match=r"unknown benchmark 'capital'; choose one of .*capitals"):
        open_split(BenchmarkConfig(name="capital"), "test")

    (folder / "again.py").write_text("from latent_core.benchmarks.tables.gsm8k import BENCHMARK\n")
    tables._declared_in.cache_clear()
    with pytest.raises(InputError, match="'gsm8k' is declared by two files"):
        tables.table_benchmarks()


def test_file_with_its_path_in_the_name_is_the_same_benchmark_as_one_with_a_test_path(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({"question": "1 + 1?", "gold": "2"}))
    short, long = BenchmarkConfig(name=f"file:{path}"), BenchmarkConfig(name="file", test_path=str(path))
    assert short == long and open_split(short, "test").problems(0, 1)[0].gold == "2"
    with pytest.raises(ValueError, match="name two files"):
        BenchmarkConfig(name=f"file:{path}", test_path="other.jsonl")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"\xff\xfe{", "not UTF-8 text"),
        ("a.jsonl", b'{"question": "1+1?", "gold": "2"}\n[1, 2]\n', "line 2 of .* is no JSON object"),
        ("a.jsonl", b'\n{"question": \n', "line 2 of .* is not JSON"),
        ("a.parquet", b"PAR1xxxx", "not a Parquet file"),
        ("a.csv", b"question,gold\n", "must be a .jsonl or .parquet file"),
    ],
)
def test_file_that_is_no_table_is_refused_by_its_name(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"^benchmark: .*{message}"):
        open_split(BenchmarkConfig(name=f"file:{tmp_path / name}"), "test")


def test_unknown_benchmark_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"benchmark\.name: unknown benchmark 'mmul'.*mmlu.*reasoning_gym:"):
        open_split(BenchmarkConfig(name="mmul"), "test")


def test_file_without_its_prefix_is_refused_with_the_name_to_write() -> None:
    with pytest.raises(InputError, match=r"unknown benchmark 'mine\.jsonl'; .* write file:mine\.jsonl$"):
        open_split(BenchmarkConfig(name="mine.jsonl"), "test")


@pytest.mark.parametrize("name", ["word_problems", "reasoning_gym:basic_arithmetic"])
@pytest.mark.parametrize("field", ["train_path", "test_path"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_file_for_a_benchmark_that_makes_its_problems_is_refused(name: str, field: str, split: str) -> None:
    with pytest.raises(InputError, match=rf"^benchmark\.{field}: {name} makes its problems and reads no file"):
        open_split(BenchmarkConfig.model_validate({"name": name, field: "mine.jsonl"}), split)


def test_split_of_local_files_without_a_path_names_the_field() -> None:
    with pytest.raises(InputError, match=r"^benchmark\.train_path: is not set.*give a \.jsonl or \.parquet file$"):
        open_split(BenchmarkConfig(name="file:mine.jsonl"), "train")


def test_reasoning_gym_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(InputError, match="pip install reasoning-gym"):
        open_split(BenchmarkConfig(name="reasoning_gym:gcd"), "test")


class _Base:
    def score_answer(self, answer: str, entry: dict[str, Any]) -> float:
        return float(answer == entry["answer"])


class _Puzzle(_Base):
    def score_answer(self, answer: str, entry: dict[str, Any]) -> float:
        return 1.0


@pytest.fixture
def fake_gym(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in whose problem is its seed."""
    package, factory, dataset = (ModuleType(f"reasoning_gym{part}") for part in ("", ".factory", ".dataset"))
    vars(package)["create_dataset"] = lambda task, seed, size: [
        {"question": f"{task} {seed}", "answer": str(seed)} for _ in range(size)
    ]
    vars(factory)["DATASETS"] = {"gcd": (_Base, None), "puzzle": (_Puzzle, None), "chain_sum": (_Puzzle, None)}
    vars(dataset)["ProceduralDataset"] = _Base
    for module in (package, factory, dataset):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(gym, "_release", lambda: "9")


@pytest.mark.usefixtures("fake_gym")
def test_reasoning_gym_problem_depends_on_its_place_and_split_alone() -> None:
    source = open_split(BenchmarkConfig(name="reasoning_gym:gcd"), "test")
    assert source.problems(2, 5)[1:] == source.problems(3, 5)
    assert source.problems(0, 1) != open_split(BenchmarkConfig(name="reasoning_gym:gcd"), "train").problems(0, 1)
    assert source.fingerprint != open_split(BenchmarkConfig(name="reasoning_gym:chain_sum"), "test").fingerprint


@pytest.mark.usefixtures("fake_gym")
@pytest.mark.parametrize(("task", "message"), [("puzzle", "own scorer.*chain_sum, gcd"), ("gdc", "no task 'gdc'")])
def test_reasoning_gym_task_that_cannot_be_graded_is_refused(task: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_split(BenchmarkConfig(name=f"reasoning_gym:{task}"), "test")


def test_benchmark_file_is_parsed_once_for_all_shards_and_again_once_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[Path] = []
    read = table._read_file

    def counted(path: Path) -> list[dict[str, Any]]:
        parsed.append(path)
        return read(path)

    monkeypatch.setattr(table, "_read_file", counted)
    path = tmp_path / "t.jsonl"
    config = _mmlu(path, [ROW])
    for _ in range(3):
        (problem,) = open_split(config, "test").problems(0, 1)
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    _mmlu(path, [{**ROW, "answer": 1}])
    os.utime(path, ns=times)
    (changed,) = open_split(config, "test").problems(0, 1)
    assert (problem.gold, changed.gold) == ("C", "B")
    assert parsed == [path, path]
