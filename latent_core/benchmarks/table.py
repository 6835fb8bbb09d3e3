"""What a table of questions is, and how its splits are read, from the hub or a local file.

Each table benchmark declares itself in one file of the folder `tables`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from latent_core.benchmarks.forms import Grader, PromptForm, lettered
from latent_core.benchmarks.problem import Problem, ProblemSource
from latent_core.benchmarks.rows import Row, refuse
from latent_core.benchmarks.rows import read_file as _read_file
from latent_core.benchmarks.values import Unusable, as_answer
from latent_core.errors import InputError
from latent_core.files import require_file
from latent_core.hub import failures, reason
from latent_core.identity import hash_file

_NOTHING_MARKED = re.compile(r"(?:####|\\(?:boxed|fbox)\s*\{\s*\})[\s$.]*\Z")


@dataclass(frozen=True)
class Hub:
    """Where a benchmark lives on the hub; `splits` gives the hub's name of each split it has."""

    id: str
    splits: Mapping[str, str] = field(hash=False)
    config: str | None = None


@dataclass(frozen=True)
class TableBenchmark:
    """A benchmark of rows. `question` and `rationale` list accepted column names, the first that is filled is taken.

    `gold` gives a row's answer, None where it has none. What questions, and what gold answers, rationales, levels and
    the options in `choices` may be is told in `values`. `hub` is None for tables that are always local files.
    """

    name: str
    hub: Hub | None
    question: tuple[str, ...]
    gold: Callable[[Row], object]
    rationale: tuple[str, ...] = ()
    level: str | None = None
    prompt: PromptForm = PromptForm.QUESTION
    grader: Grader = Grader.MATHEMATICS


def open_table(benchmark: TableBenchmark, split: str, path: Path | None) -> ProblemSource:
    """A split from a local JSONL or Parquet file when `path` is given, else from the hub.

    Raises InputError for a missing file, an unknown suffix, a split the benchmark does not have, an unreachable hub, a
    table without rows, and for rows that cannot be used: the first are named by their numbers, all are counted.
    """
    if path is not None:
        require_file("benchmark", path)
    content = hash_file(path) if path is not None else _hub_revision(benchmark, split)
    table = _read(benchmark, split, path, content)
    problems = table.problems
    if table.from_lists:  # such rows were once read as Python spells them, and evaluated under the file's hash
        content = f"{content}/lists"
    return ProblemSource(benchmark.name, split, content, len(problems), lambda start, stop: list(problems[start:stop]))


@dataclass(frozen=True)
class _Table:
    """All problems of a split; `from_lists`: some value was a list that stands for one, or a chat."""

    problems: tuple[Problem, ...]
    from_lists: bool


# A worker opens a split again for every shard. By `content`, so that a changed file is read again.
@lru_cache(maxsize=4)
def _read(benchmark: TableBenchmark, split: str, path: Path | None, content: str) -> _Table:
    rows = _read_file(path) if path is not None else _read_hub(_hub(benchmark, split), split, content)
    if not rows:
        raise InputError(f"benchmark: {path or benchmark.name} holds no rows in split {split!r}; give another file")
    problems: list[Problem] = []
    faults: list[str] = []
    for index, row in enumerate(rows):
        if isinstance(row, Unusable):
            faults.append(str(row))
            continue
        try:
            problems.append(_problem(benchmark, split, index, row))
        except Unusable as error:
            faults.append(f"row {index} of {benchmark.name}/{split} {error} ({row.place})")
    refuse(faults, len(rows))
    return _Table(tuple(problems), any(row.from_lists for row in rows if isinstance(row, Row)))


def _problem(benchmark: TableBenchmark, split: str, index: int, row: Row) -> Problem:
    question = row.question(*benchmark.question)
    if question is None:
        raise Unusable(f"has no question, nothing in {' or '.join(benchmark.question)}; it has {', '.join(row)}")
    gold = _gold(benchmark, row)
    if benchmark.prompt is PromptForm.OPTIONS:
        question = lettered(question, row.options("choices"))
    return Problem(
        question_id=f"{benchmark.name}_{split}_{index}",
        question=question,
        gold=gold,
        rationale=row.answer(*benchmark.rationale),
        level=row.answer(benchmark.level) if benchmark.level else None,
    )


def _gold(benchmark: TableBenchmark, row: Row) -> str:
    try:
        found = benchmark.gold(row)
    except Unusable:
        raise
    except (LookupError, TypeError, ValueError) as error:  # a benchmark's own function met a row it does not expect
        raise Unusable(f"has no gold answer that can be read, {type(error).__name__}: {error}") from error
    gold = row.value("gold answer", as_answer, found)
    if gold is None:
        raise Unusable(f"has no gold answer; it has {', '.join(row)}")
    if _NOTHING_MARKED.search(gold) or not gold.strip("$ \n"):  # the grader would find none, after all completions
        raise Unusable(f"has no gold answer in {gold[-40:]!r}")
    return gold


def _hub(benchmark: TableBenchmark, split: str) -> Hub:
    if benchmark.hub is None:
        fault = f"is not set, and {benchmark.name!r} reads local files"
        raise InputError(f"benchmark.{split}_path: {fault}; give a .jsonl or .parquet file")
    return benchmark.hub


def _hub_revision(benchmark: TableBenchmark, split: str) -> str:
    hub = _hub(benchmark, split)
    if split not in hub.splits:
        raise InputError(f"benchmark: {benchmark.name} has no split {split!r}; it has {', '.join(hub.splits)}")
    from huggingface_hub import HfApi

    try:
        return str(HfApi().dataset_info(hub.id).sha)
    except failures() as error:
        raise _unreachable(hub, split, error) from error


def _read_hub(hub: Hub, split: str, revision: str) -> list[Row | Unusable]:
    from datasets import load_dataset

    try:
        table = load_dataset(hub.id, hub.config, split=hub.splits[split], revision=revision)
    except failures() as error:
        raise _unreachable(hub, split, error) from error
    return [Row(dict(row), f"{hub.id}, counted from 0") for row in table]


def _unreachable(hub: Hub, split: str, error: Exception) -> InputError:
    fix = f"set HF_HUB_OFFLINE=0 with a network, or give a local file in benchmark.{split}_path"
    return InputError(f"benchmark: {hub.id} cannot be read from the hub ({reason(error)}); {fix}")
