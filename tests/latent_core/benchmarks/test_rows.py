"""What a row of a user's table may hold, and that every row that holds something else is named when it is opened."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from latent_core.benchmarks.problem import Problem, ProblemSource
from latent_core.benchmarks.registry import open_split
from latent_core.benchmarks.table import TableBenchmark, open_table
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.errors import InputError
from latent_core.identity import hash_file

QUESTION = "Tom has 3 apples and buys 4 more. How many has he?"
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hello!"},
    {"role": "user", "content": [{"type": "text", "text": "1 + 1"}, {"type": "text", "text": "?"}]},
    {"role": "assistant", "content": "2"},
]


def _opened(path: Path) -> ProblemSource:
    return open_split(BenchmarkConfig(name=f"file:{path}"), "test")


def _problems(path: Path) -> list[Problem]:
    source = _opened(path)
    return source.problems(0, source.count or 0)


def _lines(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _row(gold: str, **more: str) -> str:
    """A JSON row with its values as they are to be spelt."""
    values = {"question": json.dumps(QUESTION), "gold": gold, **more}
    return "{" + ", ".join(f'"{name}": {value}' for name, value in values.items()) + "}"


@pytest.mark.parametrize(
    ("gold", "read"),
    [
        ("0", "0"),
        ("7.50", "7.5"),
        ("false", "False"),
        ('"NaN"', "NaN"),
        ('["7"]', "7"),
        ("[7]", "7"),
        ('[{"role": "user", "content": "3+4?"}, {"role": "assistant", "content": "7"}]', "7"),
        (r'"\ud83d\ude00"', "😀"),
        ("9" * 500, "9" * 500),
        ("9" * 5000, "9" * 5000),
        ("0.0e-5", "0.0"),
    ],
)
def test_gold_that_is_one_answer_is_read(tmp_path: Path, gold: str, read: str) -> None:
    assert [problem.gold for problem in _problems(_lines(tmp_path / "a.jsonl", _row(gold)))] == [read]


@pytest.mark.parametrize(
    ("gold", "reason"),
    [
        ("NaN", "it is NaN"),
        ("-Infinity", "it is an infinite number"),
        ("1e400", "it is an infinite number"),
        ("1e-400", "it is too small a number"),
        ("[NaN]", "it is NaN"),
        ('[["7"]]', "it is a list of 1"),
        ('["7", "8"]', "it is a list of 2"),
        ("[]", "it is a list of 0"),
        ('{"value": 7}', "it is an object"),
        ('[{"from": "gpt", "value": "7"}]', "it is a list of 1"),
        ('[{"role": "user", "content": "7"}]', "without a message of the role assistant"),
        (r'"half \ud83d"', r"half a surrogate pair \(\\ud83d\)"),
        ("null", "has no gold answer"),
        ("[null]", "has no gold answer"),
        ('""', "has no gold answer"),
        (r'" \n\u200b"', "has no gold answer"),
    ],
)
def test_gold_that_is_no_answer_is_refused_with_its_line(tmp_path: Path, gold: str, reason: str) -> None:
    path = _lines(tmp_path / "a.jsonl", _row("1"), "", _row(gold))
    with pytest.raises(InputError, match=rf"^benchmark: row 1 of file/test .*{reason}.*\(line 3 of .*a\.jsonl\)"):
        _opened(path)


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ([QUESTION], QUESTION),
        ([{"role": "user", "content": QUESTION}], QUESTION),
        (CHAT, "1 + 1?"),
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_question_of_a_chat_is_its_last_user_message(
    tmp_path: Path, name: str, question: list[Any], asked: str
) -> None:
    path = tmp_path / name
    if path.suffix == ".jsonl":
        path.write_text(json.dumps({"question": question, "gold": "2"}))
    else:
        simple = [item if isinstance(item, str) else {**item, "content": str(item["content"])} for item in question]
        asked = str(simple[-1] if isinstance(simple[-1], str) else _last_user(simple))
        pq.write_table(pa.table({"question": [simple], "gold": ["2"]}), path)
    assert [problem.question for problem in _problems(path)] == [asked]


def _last_user(chat: Sequence[Any]) -> str:
    return str([message["content"] for message in chat if message["role"] == "user"][-1])


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (" \t", "has no question"),
        (None, "has no question"),
        (7, "it is a number"),
        (True, "it is a number"),
        ({"role": "user", "content": "1?"}, "it is an object"),
        (["1?", "2?"], "it is a list of 2"),
        ([{"role": "user", "content": "1?"}, 5], "it is a list of 2"),
        ([{"role": "assistant", "content": "1"}], "without a message of the role user"),
        ([{"role": "user", "content": None}], "has no question"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], "of the type 'image_url'"),
        ([{"role": "user", "content": "half \ud83d"}], "half a surrogate pair"),
    ],
)
def test_question_that_is_no_text_is_refused(tmp_path: Path, question: object, reason: str) -> None:
    path = _lines(tmp_path / "a.jsonl", json.dumps({"question": question, "gold": "2"}))
    with pytest.raises(InputError, match=rf"row 0 of file/test .*{reason}"):
        _opened(path)


@pytest.mark.parametrize(
    ("golds", "read"),
    [
        (pa.array(["7", "8"]).dictionary_encode(), ["7", "8"]),
        (pa.array([["7"], ["8"]]), ["7", "8"]),
        (pa.array([Decimal("7.50"), Decimal("-0.25")]), ["7.50", "-0.25"]),
        (pa.array([2**64 - 1, 0], pa.uint64()), ["18446744073709551615", "0"]),
        (pa.array([True, False]), ["True", "False"]),
    ],
)
def test_parquet_gold_of_a_type_with_answers_is_read(tmp_path: Path, golds: pa.Array, read: list[str]) -> None:
    pq.write_table(pa.table({"question": [QUESTION] * 2, "gold": golds}), tmp_path / "a.parquet")
    assert [problem.gold for problem in _problems(tmp_path / "a.parquet")] == read


@pytest.mark.parametrize(
    ("golds", "reason"),
    [
        (pa.array([{"value": 7}, None]), "row 0 .*it is an object.*row 1 .*no gold answer.*2 of 2 rows are bad"),
        (pa.array([b"7", b"8"]), "it is binary"),
        (pa.array([7.0, float("nan")]), "row 1 of file/test has no usable gold: it is NaN"),
        (pa.array([datetime.date(2026, 1, 5)] * 2), "it is a date"),
        (pa.array([1, 10**18 + 1], pa.timestamp("ns")), "it is a date"),
        (pa.array([b"7", b"\xff"]).cast(pa.string(), safe=False), "row 1 of file/test .*it is damaged"),
        (pa.array([[("a", 1)]] * 2, pa.map_(pa.string(), pa.int64())), "row 0 .* has no usable gold"),
    ],
)
def test_parquet_gold_of_a_type_without_answers_is_refused(tmp_path: Path, golds: pa.Array, reason: str) -> None:
    pq.write_table(pa.table({"question": [QUESTION] * 2, "gold": golds}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=reason):
        _opened(tmp_path / "a.parquet")


def test_columns_that_nobody_reads_may_hold_anything(tmp_path: Path) -> None:
    line = _row('"7"', meta='{"scores": [NaN, null]}', note=r'"\ud83d"', solutions='["a", "b"]')
    assert _problems(_lines(tmp_path / "a.jsonl", line))[0].gold == "7"
    times = pa.array([10**18 + 1], pa.timestamp("ns"))
    pq.write_table(pa.table({"question": [QUESTION], "gold": ["7"], "when": times}), tmp_path / "a.parquet")
    assert _problems(tmp_path / "a.parquet")[0].gold == "7"


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [("level", "NaN", "level: it is NaN"), ("rationale", '{"a": 1}', "rationale: it is an object")],
)
def test_other_columns_that_are_read_have_a_type_too(tmp_path: Path, column: str, value: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        _opened(_lines(tmp_path / "a.jsonl", _row("7", **{column: value})))


def test_all_bad_rows_are_counted_and_the_first_three_named(tmp_path: Path) -> None:
    good = [_row(str(number)) for number in range(50)]
    lines = [*good, "garbage", _row("NaN"), '{"question": "1?"}', _row('""'), '"text"', *good]
    with pytest.raises(InputError) as refused:
        _opened(_lines(tmp_path / "a.jsonl", *lines))
    message = str(refused.value)
    assert "line 51 of" in message and "line 52 of" in message and "line 53 of" in message
    assert "line 54 of" not in message and "5 of 105 rows are bad" in message and "\n" not in message


def test_key_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 1 of .*the key 'gold' is given twice"):
        _opened(_lines(tmp_path / "a.jsonl", '{"question": "1?", "gold": 1, "gold": 2}'))


def test_json_nested_beyond_the_parser_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 2 of .* is not JSON"):
        _opened(_lines(tmp_path / "a.jsonl", _row("7"), "[" * 100_000))


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_table_without_rows_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match="holds no rows"):
        _opened(_lines(tmp_path / "a.jsonl", content))


def test_parquet_with_two_columns_of_a_name_or_damage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table([[QUESTION], [7], [8]], names=["question", "gold", "gold"]), path)
    with pytest.raises(InputError, match="two columns 'gold'"):
        _opened(path)
    pq.write_table(pa.table({"question": [QUESTION], "gold": [7]}), path)
    whole = bytearray(path.read_bytes())
    for place in range(4, len(whole) - 8, 7):  # never a traceback, whatever is hit
        damaged = whole.copy()
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            _opened(path)
        except InputError as error:
            assert str(error).startswith("benchmark: ")


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_byte_order_mark_and_line_endings_are_no_part_of_rows(tmp_path: Path, ending: str, encoding: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(ending.join([_row("7"), "", _row("8"), ""]).encode(encoding))
    assert [(problem.question_id, problem.gold) for problem in _problems(path)] == [
        ("file_test_0", "7"),
        ("file_test_1", "8"),
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_file_that_is_no_utf8_is_refused(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(f"{_row('7')}\n".encode(encoding))
    with pytest.raises(InputError, match=r"UTF-8|is not JSON"):
        _opened(tmp_path / "a.jsonl")


def test_identity_is_that_of_the_file_unless_its_rows_are_read_otherwise_than_before(tmp_path: Path) -> None:
    plain = _lines(tmp_path / "plain.jsonl", _row("7.0", level='"3"', rationale='"3 + 4"', extra="[1, 2]"))
    listed = _lines(tmp_path / "listed.jsonl", _row('["7"]'))  # once read as the gold "['7']"
    assert _opened(plain).content == hash_file(plain)
    assert _opened(listed).content != hash_file(listed)


@pytest.mark.parametrize(
    ("name", "row", "gold"),
    [
        ("gsm8k", {"question": "1?", "answer": float("nan")}, None),
        ("gsm8k", {"question": "1?", "answer": 1200}, "1200"),
        ("math", {"problem": "1?", "solution": r"\boxed{5}", "answer": 0}, "0"),
        ("math", {"problem": "1?", "solution": r"\boxed{5}", "answer": float("nan")}, None),
        ("metamathqa", {"query": "1?", "response": ["The answer is: 5"]}, "5"),
        ("mmlu", {"question": "1?", "answer": 0, "choices": ["a", None]}, None),
        ("mmlu", {"question": "1?", "answer": 1, "choices": ["a", 2]}, "B"),
    ],
)
def test_every_table_is_read_by_the_same_types(
    tmp_path: Path, name: str, row: dict[str, Any], gold: str | None
) -> None:
    split = "train" if name == "metamathqa" else "test"
    path = _lines(tmp_path / "a.jsonl", json.dumps(row))
    config = BenchmarkConfig.model_validate({"name": name, f"{split}_path": str(path)})
    if gold is None:
        with pytest.raises(InputError, match=rf"row 0 of {name}/{split} has no usable"):
            open_split(config, split)
    else:
        assert open_split(config, split).problems(0, 1)[0].gold == gold


@pytest.mark.parametrize(("row", "reason"), [({"x": float("nan")}, "it is NaN"), ({}, "KeyError: 'x'")])
def test_gold_of_a_function_of_ones_own_is_typed_too(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    path = _lines(tmp_path / "a.jsonl", json.dumps({"question": "1?", "x": [7]}), json.dumps({"question": "2?", **row}))
    own = TableBenchmark(name="own", hub=None, question=("question",), gold=lambda row: row["x"])
    with pytest.raises(InputError, match=rf"^benchmark: row 1 of own/test .*{reason}"):
        open_table(own, "test", path)


@pytest.mark.parametrize("gold", ["#### ", "two steps\n####  ", r"\boxed{}", r"so $\boxed{ }$.", "$$", "$ $"])
def test_file_row_whose_gold_marks_an_answer_and_gives_none_is_named_when_opened(tmp_path: Path, gold: str) -> None:
    with pytest.raises(InputError, match="row 0 of file/test has no gold answer in"):
        _opened(_lines(tmp_path / "rows.jsonl", _row(json.dumps(gold))))


def test_file_row_with_a_number_of_more_digits_than_a_float_has_is_refused_not_rounded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="more digits than can be kept"):
        _opened(_lines(tmp_path / "rows.jsonl", _row("0.1234567890123456789")))
    assert _problems(_lines(tmp_path / "seventeen.jsonl", _row("0.10000000000000001")))[0].gold == "0.1"


@pytest.mark.parametrize(("type_", "gold"), [(pa.float32(), "0.1"), (pa.float16(), "0.1"), (pa.float32(), "7.0")])
def test_parquet_number_of_less_precision_is_read_with_the_digits_it_has(
    tmp_path: Path, type_: pa.DataType, gold: str
) -> None:
    values = pa.array([float(gold)], pa.float64()).cast(type_)
    pq.write_table(pa.table({"question": [QUESTION], "gold": values}), tmp_path / "rows.parquet")
    assert _problems(tmp_path / "rows.parquet")[0].gold == gold
