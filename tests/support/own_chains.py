"""Tables of chains of thought for tests, as people have them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from latent_core.chains import ChainReader, ChainSource, open_source
from latent_core.chains.names import Names
from latent_core.config.chains import ChainsConfig

QUESTION = "Tom has 3 apples and buys 4 more. How many has he?"
REASONED = "He starts with 3. Then 3 + 4 = 7."


def solution(answer: int | str = 7, reasoning: str = REASONED) -> str:
    """What a thinking model writes."""
    return f"<think>\n{reasoning}\n</think>\n\nThe answer is \\boxed{{{answer}}}."


def row(question: object = QUESTION, completion: object = None, answer: object = "7", **more: object) -> dict[str, Any]:
    """A row of a plain table."""
    return {
        "question": question,
        "completion": solution() if completion is None else completion,
        "answer": answer,
        **more,
    }


def write_rows(file: Path, *rows: Mapping[str, Any] | str) -> Path:
    """A JSONL file; texts are lines as they are."""
    lines = [item if isinstance(item, str) else json.dumps(item) for item in rows]
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return file


def opened(file: Path | str, **settings: Any) -> ChainSource:
    return open_source(f"file:{file}", ChainsConfig.model_validate(settings))


def read(file: Path, shard_rows: int = 1000, **settings: Any) -> tuple[list[dict[str, Any]], ChainReader]:
    """All chains of a file as rows of `chain_schema`, and the reader with its counts."""
    config = ChainsConfig.model_validate(settings)
    source = open_source(f"file:{file}", config)
    with Names(file.parent / "names.sqlite") as names:
        reader = ChainReader(source, config.grading, config.unmarked, shard_rows, names)
        return [placed.row for placed in reader.placed()], reader


def ids(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    return [(item["question_id"], item["sample_index"]) for item in rows]
