"""Chains of thought to measure on: a field of a JSON-lines file, or the packaged word problems' rationales."""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path

from latent_core.benchmarks.registry import open_split
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.errors import InputError


def chains_of_thought(file: Path | None, field: str, number: int, join: int = 1) -> list[str]:
    """`number` texts, each made of `join` consecutive chains of thought.

    Too few of them, or none under `field`, end the benchmark with one line that says what is needed.
    """
    try:
        parts = _packaged(number * join) if file is None else _of_file(file, field, number * join)
    except InputError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    return ["\n".join(parts[start : start + join]) for start in range(0, len(parts), join)]


def _packaged(number: int) -> list[str]:
    problems = open_split(BenchmarkConfig(difficulties=(1, 2, 3, 4, 5)), "train").problems(0, number)
    return [str(problem.rationale) for problem in problems]


def _of_file(file: Path, field: str, number: int) -> list[str]:
    if not file.is_file():
        raise InputError(f"--texts: {file} does not exist.")
    with file.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in islice(lines, number)]
    if len(rows) < number:
        raise InputError(
            f"--texts: {file} has {len(rows):,} rows, and this benchmark needs {number:,}; give a longer file, or "
            "leave --texts out to measure on the packaged word problems."
        )
    for line, row in enumerate(rows, start=1):
        if field not in row:
            raise InputError(f"--field: line {line} of {file} has no field {field!r}, only {', '.join(row)}.")
    return [str(row[field]) for row in rows]
