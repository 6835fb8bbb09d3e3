"""Texts that a benchmark measures on: too few of them are said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.texts import chains_of_thought


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ('{"answer": "a"}\n' * 3, "has 3 rows, and this benchmark needs 1,000; give a longer file"),
        ('{"answer": "a"}\n' * 999 + '{"cot": "a"}\n', "line 1000 of"),
    ],
)
def test_chains_of_thought_of_an_unfit_file_end_with_one_line_that_says_what_is_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: str, said: str
) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text(rows, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        chains_of_thought(file, "answer", 1000)
    message = capsys.readouterr().err
    assert ended.value.code == 2 and said in message and message.count("\n") == 1
