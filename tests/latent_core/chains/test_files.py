"""Rows of files as streams, and what a file is that cannot be read."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from latent_core.benchmarks.rows import Row
from latent_core.benchmarks.values import Unreadable
from latent_core.chains import files
from latent_core.chains.files import BrokenLine, LongLine, files_of, rows_of, scan
from latent_core.errors import InputError


def _values(file: Path) -> list[object]:
    return [dict(row) if isinstance(row, Row) else type(row) for row in rows_of(file)]


def test_lines_are_rows_and_those_that_are_none_stand_in_their_place(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n \n[1]\n{"a": \n{"b": "\xff"}\n{"a": "\xe2\x80\xa8"}')
    assert _values(file) == [{"a": 1}, BrokenLine, BrokenLine, BrokenLine, {"a": "\u2028"}]
    faults = [str(item) for item in rows_of(file) if isinstance(item, BrokenLine)]
    assert [fault.split(" of ")[0] for fault in faults[:2]] == ["line 4", "line 5"] and str(file) in faults[2]
    assert scan(file) == (hashlib.sha256(file.read_bytes()).hexdigest(), 5)


def test_line_that_is_too_long_is_told_once_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LONGEST_LINE", 32)
    file = tmp_path / "rows.jsonl"
    file.write_text(f'{{"a": 1}}\n{{"a": "{"x" * 100}"}}\n{{"a": 2}}\n')
    assert _values(file) == [{"a": 1}, LongLine, {"a": 2}] and scan(file).rows == 3


def test_parquet_has_the_rows_of_its_columns_and_damage_is_told(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": [["x", "y"]] * 150, "b": list(range(150))}), file, row_group_size=50)
    assert scan(file).rows == 150
    found = [dict(row) for row in rows_of(file, ["a"]) if isinstance(row, Row)]
    assert found == [{"a": ["x", "y"]}] * 150
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(InputError, match=r"rows\.parquet is not a Parquet file, or damaged"):
        scan(file)


def test_folder_and_pattern_stand_for_their_files_in_order(tmp_path: Path) -> None:
    names = [f"{number}.jsonl" for number in (7, 3, 9, 1, 5)]
    for name in (*names, "0.parquet", "notes.txt"):
        (tmp_path / name).touch()
    assert [file.name for file in files_of(str(tmp_path))] == ["0.parquet", *sorted(names)]
    assert [file.name for file in files_of(f"{tmp_path}/*.jsonl")] == sorted(names)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("missing.jsonl", "no such file"),
        ("none-*.jsonl", "no such file"),
        ("empty", "holds no .jsonl or .parquet file"),
        ("rows.csv", "neither .jsonl nor .parquet"),
        ("mixed", r"part.jsonl is a folder or a broken link"),
        ("mixed/*.jsonl", r"part.jsonl is a folder or a broken link"),
        ("linked", r"gone.parquet is a folder or a broken link"),
        ("a**b.jsonl", "is no path that can be read"),
        (f"{'x' * 5000}.jsonl", "is no path that can be read"),
    ],
)
def test_path_without_a_table_names_itself(tmp_path: Path, place: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "rows.csv").touch()
    (tmp_path / "mixed/part.jsonl").mkdir(parents=True)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/gone.parquet").symlink_to("nowhere")
    with pytest.raises(InputError, match=f"collect.source: .*{message}"):
        files_of(str(tmp_path / place))


def test_home_that_nobody_has_is_no_path() -> None:
    with pytest.raises(InputError, match=r"collect.source: ~nobody-here/rows.jsonl is no path that can be read"):
        files_of("~nobody-here/rows.jsonl")


def test_parquet_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], names=["a", "a"]), file)
    with pytest.raises(InputError, match=r"collect.source: .*rows.parquet has two columns 'a'; rename one"):
        scan(file)


@pytest.mark.parametrize("column", [pa.array([2**40], pa.timestamp("s")), pa.array([0], pa.timestamp("us", "Mars/X"))])
def test_cell_that_python_cannot_hold_is_told_and_the_row_is_read(tmp_path: Path, column: pa.Array) -> None:
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": column, "b": ["x"]}), file)
    (row,) = rows_of(file)
    assert isinstance(row, Row) and row["b"] == "x" and isinstance(row["a"], Unreadable)


def test_parquet_of_one_large_row_group_is_read_a_page_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    texts = pa.table({"a": [str(number) * 250 for number in range(10_000, 30_000)]})  # 24 MB
    pq.write_table(texts, file, compression="none", use_dictionary=False, row_group_size=texts.num_rows)
    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for _ in rows_of(file)]
    assert len(held) == 20_000 and max(held) < 6 << 20
