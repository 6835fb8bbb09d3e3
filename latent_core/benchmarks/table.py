"""What a table of questions is, and how its splits are read, from the hub or a local file.

Each table benchmark declares itself in one file of the folder `tables`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latent_core.benchmarks.forms import Grader, PromptForm, lettered
from latent_core.benchmarks.problem import Problem, ProblemSource
from latent_core.errors import InputError
from latent_core.identity import hash_file

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Hub:
    """Where a benchmark lives on the hub; `splits` gives the hub's name of each split it has."""

    id: str
    splits: Mapping[str, str]
    config: str | None = None


@dataclass(frozen=True)
class TableBenchmark:
    """A benchmark of rows. `question` and `rationale` list accepted column names, the first that is filled is taken.

    `gold` gives a row's answer, None where it has none; `hub` is None for tables that are always local files.
    """

    name: str
    hub: Hub | None
    question: tuple[str, ...]
    gold: Callable[[Row], str | None]
    rationale: tuple[str, ...] = ()
    level: str | None = None
    prompt: PromptForm = PromptForm.QUESTION
    grader: Grader = Grader.MATHEMATICS


def open_table(benchmark: TableBenchmark, split: str, path: Path | None) -> ProblemSource:
    """A split from a local JSONL or Parquet file when `path` is given, else from the hub.

    Raises InputError for a missing file, an unknown suffix, a split the benchmark does not have, an unreachable hub, or
    a row without question or gold answer (named by its number).
    """
    if path is not None:
        rows, content = _read_file(path), hash_file(path)
    else:
        rows, content = _read_hub(benchmark, split)
    problems = [_problem(benchmark, split, index, row) for index, row in enumerate(rows)]
    return ProblemSource(benchmark.name, split, content, len(problems), lambda start, stop: problems[start:stop])


def _problem(benchmark: TableBenchmark, split: str, index: int, row: Row) -> Problem:
    def first(columns: tuple[str, ...]) -> str | None:
        return next((str(row[column]) for column in columns if row.get(column)), None)

    name = benchmark.name
    question, gold = first(benchmark.question), benchmark.gold(row)
    if question is None or gold is None:
        missing = f"question (one of {', '.join(benchmark.question)})" if question is None else "gold answer"
        raise InputError(f"benchmark: row {index} of {name}/{split} has no {missing}; it has {sorted(row)}")
    if benchmark.prompt is PromptForm.OPTIONS:
        question = lettered(question, [str(option) for option in row["choices"]])
    level = row.get(benchmark.level) if benchmark.level else None
    return Problem(
        question_id=f"{name}_{split}_{index}",
        question=question,
        gold=gold,
        rationale=first(benchmark.rationale),
        level=None if level in (None, "") else str(level),
    )


def _read_file(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise InputError(f"benchmark: the file {path} does not exist")
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return rows
    if path.suffix in (".jsonl", ".json"):
        lines = path.read_text(encoding="utf-8").split("\n")  # splitlines would also cut at U+2028
        try:
            return [json.loads(line) for line in lines if line.strip()]
        except json.JSONDecodeError as error:
            raise InputError(f"benchmark: {path} is not JSON lines ({error})") from error
    raise InputError(f"benchmark: {path} must be a .jsonl or .parquet file")


def _read_hub(benchmark: TableBenchmark, split: str) -> tuple[list[dict[str, Any]], str]:
    hub = benchmark.hub
    if hub is None:
        raise InputError(f"benchmark.{split}_path: {benchmark.name} needs a local .jsonl or .parquet file")
    if split not in hub.splits:
        raise InputError(f"benchmark: {benchmark.name} has no split {split!r}; it has {', '.join(hub.splits)}")
    from datasets import load_dataset
    from huggingface_hub import HfApi

    fix = f"set HF_HUB_OFFLINE=0 with a network, or give a local file in benchmark.{split}_path"
    try:
        revision = HfApi().dataset_info(hub.id).sha
        table = load_dataset(hub.id, hub.config, split=hub.splits[split], revision=revision)
    except OSError as error:  # ConnectionError and the hub's own errors derive from it
        raise InputError(f"benchmark: {hub.id} cannot be read from the hub ({error}); {fix}") from error
    return [dict(row) for row in table], str(revision)
