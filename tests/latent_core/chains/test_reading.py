"""Every row of a table is kept or counted, questions keep their samples together, and ids stay unique."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from latent_core.chains import LateChains, rows
from latent_core.errors import InputError
from latent_core.prompts import INSTRUCTION
from tests.support.own_chains import QUESTION, REASONED, ids, read, row, solution, write_rows


def test_every_row_is_kept_or_counted_by_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "LONGEST_TEXT", 5000)
    file = write_rows(
        tmp_path / "rows.jsonl",
        row(),
        row(),
        row(completion=solution().replace(" ", "\n")),
        row(question=None),
        row(question=5),
        row(answer=None),
        row(answer=""),
        row(completion=[]),
        row(completion={"text": "x"}),
        row(completion="<think></think>"),
        row(completion=solution(reasoning="x" * 6000)),
        "[1, 2]",
        "{",
        row(question="What is 1 + 1?", completion=[solution(2), None, solution(3)], answer="2"),
    )
    found, reader = read(file)
    assert reader.accounting == {
        "kept": 3,
        "duplicate": 2,
        "no_question": 2,
        "no_answer": 2,
        "no_chain": 4,
        "too_large": 1,
        "broken_line": 2,
    }
    assert reader.rows == 14 and reader.empty_rows == 12
    assert ids(found) == [("row_0", 0), ("row_13", 0), ("row_13", 1)]
    assert found[0] == {
        "question_number": 0,
        "question_id": "row_0",
        "sample_index": 0,
        "question": QUESTION,
        "gold": "7",
        "reasoning": REASONED,
        "words": "The answer is \\boxed{7}.",
        "is_closed": True,
    }
    assert reader.faults["broken_line"][1].startswith(f"line 13 of {file} is not JSON")
    assert len(reader.faults["no_chain"]) == 3


@pytest.mark.parametrize(
    ("question", "read_as"),
    [
        ([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "1 + 1?"}], "1 + 1?"),
        ([{"role": "user", "content": [{"type": "text", "text": "1 + 1?"}]}], "1 + 1?"),
        (["1 + 1?"], "1 + 1?"),
        (f"{INSTRUCTION}\n1 + 1?", "1 + 1?"),
        (f"1 + 1?\n{INSTRUCTION}", "1 + 1?"),
    ],
)
def test_question_is_the_last_user_message_without_our_own_instruction(
    tmp_path: Path, question: object, read_as: str
) -> None:
    (found,), _ = read(write_rows(tmp_path / "rows.jsonl", row(question=question)))
    assert found["question"] == read_as


@pytest.mark.parametrize(
    ("answer", "gold"),
    [("#### 7", "7"), ("3 + 4 = 7, so \\boxed{7}.", "7"), (7, "7"), (["7"], "7"), (True, "True")],
)
def test_right_answer_is_taken_out_of_the_text_that_ends_in_it(tmp_path: Path, answer: object, gold: str) -> None:
    (found,), _ = read(write_rows(tmp_path / "rows.jsonl", row(answer=answer)))
    assert found["gold"] == gold


THOUGHT = {"reasoning": "r", "completion": "c"}


@pytest.mark.parametrize(
    ("values", "columns", "parts"),
    [
        ({"c": "3 + 4 = 7. The answer is 7."}, {"completion": "c"}, (None, "3 + 4 = 7. The answer is 7.", True)),
        ({"r": "3 + 4", "c": "It is 7."}, THOUGHT, ("3 + 4", "It is 7.", True)),
        ({"r": ["3 + 4"], "c": ["It is 7."]}, THOUGHT, ("3 + 4", "It is 7.", True)),
        ({"r": "old", "c": "<think>3 + 4</think>It is 7."}, THOUGHT, ("3 + 4", "It is 7.", True)),
        ({"r": "<think>3 + 4 = \\boxed{7}</think>"}, {"reasoning": "r"}, (None, "3 + 4 = \\boxed{7}", True)),
        ({"r": "<think>3 + 4"}, {"reasoning": "r"}, ("3 + 4", "", False)),
        ({"r": None, "c": "<think>3 + 4</think>It is 7."}, THOUGHT, ("3 + 4", "It is 7.", True)),
        ({"r": "3 + 4", "c": "<think></think>It is 7."}, THOUGHT, ("3 + 4", "It is 7.", True)),
        ({"r": "3 + 4", "c": None}, THOUGHT, ("3 + 4", "", False)),
        ({"r": "3 + 4", "c": ""}, THOUGHT, ("3 + 4", "", False)),
        ({"c": "<think>\n\n</think>\n\n3 + 4 = 7."}, {"completion": "c"}, (None, "3 + 4 = 7.", True)),
        (
            {"c": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "It is 7."}]},
            {"completion": "c"},
            (None, "It is 7.", True),
        ),
        (
            {"c": [{"role": "assistant", "content": "It is 7.", "reasoning_content": "3 + 4"}]},
            {"completion": "c"},
            ("3 + 4", "It is 7.", True),
        ),
        (
            {
                "c": [
                    {"role": "assistant", "content": "It is 7.", "thinking": "3 + 4"},
                    {"role": "user", "content": "!"},
                ]
            },
            {"completion": "c"},
            ("3 + 4", "It is 7.", True),
        ),
        (
            {"c": [{"role": "assistant", "content": None, "reasoning_content": "\\boxed{7}? Wait,"}]},
            {"completion": "c"},
            ("\\boxed{7}? Wait,", "", False),
        ),
    ],
)
def test_reasoning_and_words_come_from_the_columns_that_hold_them(
    tmp_path: Path, values: dict[str, Any], columns: dict[str, str], parts: tuple[str | None, str, bool]
) -> None:
    file = write_rows(tmp_path / "rows.jsonl", {"q": "?", "a": "7", **values})
    (found,), _ = read(file, columns={"question": "q", "answer": "a", **columns})
    assert (found["reasoning"], found["words"], found["is_closed"]) == parts


def test_text_without_marks_is_a_cut_thought_where_the_parameters_say_so(tmp_path: Path) -> None:
    file = write_rows(
        tmp_path / "rows.jsonl",
        row(completion=f"{REASONED} \\boxed{{7}}"),
        row(completion=solution()),
        row(completion="<think></think>It is 7."),
    )
    found, _ = read(file, unmarked="cut")
    assert [(item["reasoning"], item["is_closed"]) for item in found] == [
        (f"{REASONED} \\boxed{{7}}", False),
        (REASONED, True),
        (None, True),
    ]


def _asked(question: str, completion: str, **more: object) -> dict[str, Any]:
    return row(question=question, completion=completion, **more)


def test_questions_with_one_text_are_one_whatever_their_ids_and_samples_stay_unique(tmp_path: Path) -> None:
    file = write_rows(
        tmp_path / "rows.jsonl",
        _asked("1 + 1?", "a \\boxed{2}", id="math_5_s1"),
        _asked("1  +  1?", "b \\boxed{2}", id="math_5_s0"),
        _asked("1 + 1?", "c \\boxed{2}", id="math_9_s1"),
        _asked("1 + 1?", "d \\boxed{2}", id="math_5_s1"),
        _asked("2 + 2?", "a \\boxed{4}", id="math_5_s7"),
        _asked("3 + 3?", "a \\boxed{6}", id="math_5_s7"),
        _asked("4 + 4?", "a \\boxed{8}", id=None),
        _asked("4 + 4?", "b \\boxed{8}", id="other"),
    )
    found, reader = read(file)
    assert ids(found) == [
        ("math_5", 1),
        ("math_5", 0),
        ("math_5", 2),
        ("math_5_s7", 7),
        ("row_6", 0),
        ("row_6", 1),
    ]
    assert reader.accounting["duplicate_id"] == 2


def test_sample_number_has_a_column_of_its_own_and_must_be_one(tmp_path: Path) -> None:
    rows_ = [row(completion=f"{n} \\boxed{{7}}", id="q", sample_index=n) for n in (3, 1, -1, "x", None)]
    found, reader = read(write_rows(tmp_path / "rows.jsonl", *rows_))
    assert ids(found) == [("q", 3), ("q", 1), ("q", 4)] and reader.accounting["bad_id"] == 2


def test_sample_number_that_is_the_largest_leaves_room_for_others(tmp_path: Path) -> None:
    largest = 2**31 - 1
    rows_ = [row(completion=f"{n} \\boxed{{7}}", id="q", sample_index=n) for n in (largest, 0, None, None)]
    rows_[3]["completion"] = "\\boxed{7}"
    found, _ = read(write_rows(tmp_path / "rows.jsonl", *rows_))
    assert ids(found) == [("q", largest), ("q", 0), ("q", 1), ("q", 2)]


def test_fault_that_quotes_a_text_quotes_its_beginning_in_one_line(tmp_path: Path) -> None:
    name = f"a\n{'b' * 100_000}"
    _, reader = read(write_rows(tmp_path / "rows.jsonl", row(id=name), row(question="1 + 1?", id=name)))
    (fault,) = reader.faults["duplicate_id"]
    assert len(fault) < len(str(tmp_path)) + 200 and "\n" not in fault
    with pytest.raises(InputError) as caught:
        read(write_rows(tmp_path / "rows.jsonl", row(answer="z" * 100_000)), grading="letter")
    assert len(str(caught.value)) < 1000


def test_parquet_and_a_folder_of_parts_hold_what_one_jsonl_file_holds(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "1 + 1?"}]
    rows_ = [row(question=chat, completion=[solution(2), solution(3)], answer="2"), row(question=chat, completion=[])]
    rows_ += [row(question=chat, completion=[solution(4)], answer=None)]
    parts = tmp_path / "parts"
    parts.mkdir()
    whole = write_rows(tmp_path / "rows.jsonl", *rows_)
    write_rows(parts / "part-0.jsonl", *rows_[:1])
    pq.write_table(pa.Table.from_pylist(rows_[1:]), parts / "part-1.parquet")
    pq.write_table(pa.Table.from_pylist(rows_), tmp_path / "rows.parquet")
    read_ = [read(place) for place in (whole, parts, tmp_path / "rows.parquet")]
    assert [found for found, _ in read_] == [read_[0][0]] * 3 and len(read_[0][0]) == 2
    assert [reader.accounting for _, reader in read_] == [{"kept": 2, "no_chain": 1, "no_answer": 1}] * 3


def test_late_chains_wait_by_shard_and_those_of_a_killed_attempt_are_gone(tmp_path: Path) -> None:
    LateChains(tmp_path).add(1, {"a": "old"})
    late = LateChains(tmp_path)
    late.add(0, {"a": "x\ny"})
    late.add(0, {"a": None})
    assert list(late.of(0)) == [{"a": "x\ny"}, {"a": None}] and not late.has(1) and late.count == 2
