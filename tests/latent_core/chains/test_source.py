"""A source is pinned by its content; one that cannot be meant is refused in one line that says what to do."""

from __future__ import annotations

import os
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from latent_core.errors import InputError
from tests.support.own_chains import opened, row, solution, write_rows

MAPPED = {"question": "question", "completion": "completion", "answer": "answer"}


def test_identity_is_of_the_bytes_and_not_of_their_place(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.jsonl", row())
    (tmp_path / "folder").mkdir()
    moved = shutil.copy(file, tmp_path / "folder/other.jsonl")
    before = opened(file).fingerprint
    assert opened(moved).fingerprint == opened(tmp_path / "folder").fingerprint == before
    write_rows(file, row(answer="8"))
    assert opened(file).fingerprint != before


def test_edit_that_keeps_size_and_date_is_another_table(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.jsonl", row(answer="7"))
    before, state = opened(file).fingerprint, file.stat()
    write_rows(file, row(answer="8"))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert file.stat().st_size == state.st_size and opened(file).fingerprint != before


def test_large_rows_are_looked_at_one_after_the_other(tmp_path: Path) -> None:
    large = [row(more="x" * 1_000_000) for _ in range(30)]
    file = write_rows(tmp_path / "rows.jsonl", *large)
    del large
    opened(file)  # imports what it needs
    tracemalloc.start()
    try:
        opened(file)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_first_rows_alone_are_read_where_the_parameters_say_so(tmp_path: Path) -> None:
    source = opened(write_rows(tmp_path / "rows.jsonl", row(), row(), row()), rows=2)
    assert source.rows == 2 and len(list(source.read())) == len(list(source.read())) == 2


@pytest.mark.parametrize(
    ("there", "meant"),
    [
        (
            {"question", "response_text", "reasoning", "gold_answer", "answer", "source_id", "sample_index"},
            {
                "question": "question",
                "completion": "response_text",
                "answer": "gold_answer",
                "id": "source_id",
                "sample": "sample_index",
            },
        ),
        (
            {"problem", "solution", "generations", "answer", "uuid"},
            {"question": "problem", "completion": "generations", "answer": "answer", "id": "uuid"},
        ),
        (
            {"question", "solution", "thinking_trajectories", "attempt"},
            {
                "question": "question",
                "reasoning": "thinking_trajectories",
                "completion": "attempt",
                "answer": "solution",
            },
        ),
        ({"problem", "solution"}, {"question": "problem", "completion": "solution", "answer": "solution"}),
    ],
)
def test_columns_of_known_tables_need_no_mapping(tmp_path: Path, there: set[str], meant: dict[str, str]) -> None:
    values: dict[str, Any] = dict.fromkeys(there, solution()) | {"sample_index": 0}
    source = opened(write_rows(tmp_path / "rows.jsonl", {name: values[name] for name in there}))
    assert source.columns.named() == meant


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([], {}, "holds no rows"),
        (["", " "], {}, "holds no rows"),
        (["{", "{"], {}, r"line 1 of .* is not JSON"),
        ([{"text": "x"}], {}, r"columns: is not set, and .* no known table .* among text"),
        (
            [row()],
            {"columns": MAPPED | {"question": "qestion"}},
            r"columns.question: .* no column 'qestion'; did you mean 'question'\? It has question, comp",
        ),
        (
            [row(answer=None)],
            {},
            r"of the first 1 rows .* none can be used: no_answer \(line 1 of .*\); check .*answer: a",
        ),
        ([row(question=3)], {}, r"no_question: it is a number, not text \(line 1"),
        ([row(answer="7")], {"grading": "letter"}, "'7' is no letter from A to J"),
    ],
)
def test_table_that_cannot_be_meant_is_refused(
    tmp_path: Path, rows: list[Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        opened(write_rows(tmp_path / "rows.jsonl", *rows), **settings)
    assert "\n" not in str(caught.value)


def test_answers_are_asked_for_unless_chains_are_trusted(tmp_path: Path) -> None:
    columns = {"question": "question", "completion": "completion"}
    file = write_rows(tmp_path / "rows.jsonl", row(answer=None))
    with pytest.raises(ValueError, match=r"columns\.answer: .* set\s+grading: trusted"):
        opened(file, columns=columns)
    assert opened(file, columns=columns, grading="trusted").rows == 1
