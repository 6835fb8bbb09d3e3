"""What a table of questions is, and how its splits are read, from the hub or a local file.

Each table benchmark declares itself in one file of the folder `tables`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
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
    splits: Mapping[str, str] = field(hash=False)
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
    if path is not None and not path.is_file():
        raise InputError(f"benchmark: {path} {'is no file' if path.exists() else 'does not exist'}")
    content = hash_file(path) if path is not None else _hub_revision(benchmark, split)
    problems = _problems(benchmark, split, path, content)
    return ProblemSource(benchmark.name, split, content, len(problems), lambda start, stop: list(problems[start:stop]))


# A worker opens a split again for every shard. By `content`, so that a changed file is read again.
@lru_cache(maxsize=4)
def _problems(benchmark: TableBenchmark, split: str, path: Path | None, content: str) -> tuple[Problem, ...]:
    rows = _read_file(path) if path is not None else _read_hub(_hub(benchmark, split), split, content)
    return tuple(_problem(benchmark, split, index, row) for index, row in enumerate(rows))


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
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        except pa.ArrowException as error:
            raise InputError(f"benchmark: {path} is not a Parquet file ({error})") from error
        return rows
    if path.suffix in (".jsonl", ".json"):
        try:
            lines = path.read_text(encoding="utf-8").split("\n")  # splitlines would also cut at U+2028
        except UnicodeDecodeError as error:
            raise InputError(f"benchmark: {path} is not UTF-8 text ({error.reason} at byte {error.start})") from error
        return [_json_row(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    raise InputError(f"benchmark: {path} must be a .jsonl or .parquet file")


def _json_row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(f"benchmark: line {number} of {path} is not JSON ({error}); write an object a line") from error
    if not isinstance(row, dict):
        raise InputError(f"benchmark: line {number} of {path} is no JSON object; write objects")
    return row


def _hub(benchmark: TableBenchmark, split: str) -> Hub:
    if benchmark.hub is None:
        raise InputError(f"benchmark.{split}_path: {benchmark.name} needs a local .jsonl or .parquet file")
    return benchmark.hub


def _hub_revision(benchmark: TableBenchmark, split: str) -> str:
    hub = _hub(benchmark, split)
    if split not in hub.splits:
        raise InputError(f"benchmark: {benchmark.name} has no split {split!r}; it has {', '.join(hub.splits)}")
    from huggingface_hub import HfApi

    try:
        return str(HfApi().dataset_info(hub.id).sha)
    except OSError as error:  # ConnectionError and the hub's own errors derive from it
        raise _unreachable(hub, split, error) from error


def _read_hub(hub: Hub, split: str, revision: str) -> list[dict[str, Any]]:
    from datasets import load_dataset

    try:
        table = load_dataset(hub.id, hub.config, split=hub.splits[split], revision=revision)
    except OSError as error:
        raise _unreachable(hub, split, error) from error
    return [dict(row) for row in table]


def _unreachable(hub: Hub, split: str, error: OSError) -> InputError:
    fix = f"set HF_HUB_OFFLINE=0 with a network, or give a local file in benchmark.{split}_path"
    return InputError(f"benchmark: {hub.id} cannot be read from the hub ({error}); {fix}")
