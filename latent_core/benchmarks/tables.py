"""Benchmarks that are tables of questions: GSM8K, MATH, MATH-500, MetaMathQA, MMLU, from the hub or a local file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latent_core.benchmarks.forms import PromptForm, benchmark_form, lettered
from latent_core.benchmarks.problem import Problem, ProblemSource
from latent_core.errors import InputError
from latent_core.identity import hash_file
from latent_core.scoring.extraction import last_box

Row = Mapping[str, Any]
MOST_OPTIONS = 10  # A to J, what the grader reads


@dataclass(frozen=True)
class TableFormat:
    """Where a benchmark lives on the hub and how a row becomes a problem; each field lists accepted column names."""

    hub_id: str | None
    hub_config: str | None
    hub_splits: Mapping[str, str]
    question: tuple[str, ...]
    rationale: tuple[str, ...]
    gold: Callable[[Row], str | None]
    level: str | None = None


def _gsm8k_gold(row: Row) -> str | None:
    answer = str(row.get("answer", ""))
    return answer.rsplit("####", 1)[-1].strip().replace(",", "") or None


def _math_gold(row: Row) -> str | None:
    if row.get("answer"):
        return str(row["answer"])
    return last_box(str(row.get("solution", "")))


def _plain_gold(row: Row) -> str | None:
    return next((str(row[column]) for column in ("gold", "answer") if row.get(column) is not None), None)


def _metamath_gold(row: Row) -> str | None:
    parts = str(row.get("response", "")).rsplit("The answer is:", 1)
    return parts[1].strip() if len(parts) == 2 else None


def _choice_gold(row: Row) -> str | None:
    """The letter of MMLU's `answer`: a place counted from 0 (as on the hub), or the letter itself."""
    answer, options = row.get("answer"), row.get("choices")
    if not isinstance(options, list) or isinstance(answer, bool):
        return None
    text = str(answer).strip().upper()
    place = int(text) if text.isdecimal() else ord(text) - ord("A") if re.fullmatch("[A-J]", text) else -1
    return chr(ord("A") + place) if 0 <= place < min(len(options), MOST_OPTIONS) else None


FORMATS: dict[str, TableFormat] = {
    "gsm8k": TableFormat(
        "openai/gsm8k", "main", {"train": "train", "test": "test"}, ("question",), ("cot", "answer"), _gsm8k_gold
    ),
    "math": TableFormat(
        "nlile/hendrycks-MATH-benchmark", None, {"train": "train", "test": "test"},
        ("problem",), ("solution",), _math_gold, "level",
    ),
    "math500": TableFormat(
        "HuggingFaceH4/MATH-500", None, {"test": "test"}, ("problem",), ("solution",), _math_gold, "level"
    ),
    "metamathqa": TableFormat(
        "meta-math/MetaMathQA", None, {"train": "train"}, ("query",), ("response",), _metamath_gold
    ),
    "mmlu": TableFormat(
        "cais/mmlu", "all", {"train": "auxiliary_train", "validation": "validation", "test": "test"},
        ("question",), (), _choice_gold, "subject",
    ),
    "file": TableFormat(None, None, {}, ("question", "problem"), ("rationale", "solution"), _plain_gold, "level"),
}  # fmt: skip


def open_table(name: str, split: str, path: Path | None) -> ProblemSource:
    """A split from a local JSONL or Parquet file when `path` is given, else from the hub.

    Raises InputError for a missing file, an unknown suffix, a split the benchmark does not have, an unreachable hub, or
    a row without question or gold answer (named by its number).
    """
    form = FORMATS[name]
    if path is not None:
        rows, content = _read_file(path), hash_file(path)
    else:
        rows, content = _read_hub(name, form, split)
    problems = [_problem(name, split, index, row, form) for index, row in enumerate(rows)]
    return ProblemSource(name, split, content, len(problems), lambda start, stop: problems[start:stop])


def _problem(name: str, split: str, index: int, row: Row, form: TableFormat) -> Problem:
    def first(columns: tuple[str, ...]) -> str | None:
        return next((str(row[column]) for column in columns if row.get(column)), None)

    question, gold = first(form.question), form.gold(row)
    if question is None or gold is None:
        missing = f"question (one of {', '.join(form.question)})" if question is None else "gold answer"
        raise InputError(f"benchmark: row {index} of {name}/{split} has no {missing}; it has {sorted(row)}")
    if benchmark_form(name).prompt is PromptForm.OPTIONS:
        question = lettered(question, [str(option) for option in row["choices"]])
    level = row.get(form.level) if form.level else None
    return Problem(
        question_id=f"{name}_{split}_{index}",
        question=question,
        gold=gold,
        rationale=first(form.rationale),
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


def _read_hub(name: str, form: TableFormat, split: str) -> tuple[list[dict[str, Any]], str]:
    if form.hub_id is None:
        raise InputError(f"benchmark.{split}_path: {name} needs a local .jsonl or .parquet file")
    if split not in form.hub_splits:
        raise InputError(f"benchmark: {name} has no split {split!r}; it has {', '.join(form.hub_splits)}")
    from datasets import load_dataset
    from huggingface_hub import HfApi

    fix = f"set HF_HUB_OFFLINE=0 with a network, or give a local file in benchmark.{split}_path"
    try:
        revision = HfApi().dataset_info(form.hub_id).sha
        table = load_dataset(form.hub_id, form.hub_config, split=form.hub_splits[split], revision=revision)
    except OSError as error:  # ConnectionError and the hub's own errors derive from it
        raise InputError(f"benchmark: {form.hub_id} cannot be read from the hub ({error}); {fix}") from error
    return [dict(row) for row in table], str(revision)
