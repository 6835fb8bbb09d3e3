"""Rows of JSONL and Parquet files as streams: one row at a time is in memory, and a bad line is told, not skipped."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from latent_core.benchmarks.rows import Row, cell_value, json_row, open_parquet
from latent_core.benchmarks.values import Unusable
from latent_core.errors import InputError
from latent_core.identity import hash_file

JSONL, PARQUET = (".jsonl", ".json"), (".parquet",)
LONGEST_LINE = 64 << 20  # bytes; a longer line is counted and never held in memory
_PARQUET_ROWS = 64  # converted at once
_MARK = b"\xef\xbb\xbf"  # of UTF-8, before the first line


class BrokenLine(Unusable):
    """A line of a JSONL file that holds no row."""


class LongLine(Unusable):
    """A line too long to be read."""


class ScannedFile(NamedTuple):
    """A file's sha256, and how many rows it has (of JSONL the lines that are not blank)."""

    sha256: str
    rows: int


def files_of(place: str) -> list[Path]:
    """The files that a path stands for: itself, those of a folder, or those of a pattern, in the order of their names.

    Raises InputError where there are none, for one that is neither JSONL nor Parquet, and for a folder or a broken link
    that is named like one.
    """
    try:
        return _files_of(place, Path(place).expanduser())
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, `a**b`, a user who has no home
        raise InputError(f"collect.source: {place} is no path that can be read ({_reason(error)})") from error


def _files_of(place: str, path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(entry for entry in path.iterdir() if _is_table(entry))
        if not found:
            raise InputError(f"collect.source: the folder {place} holds no .jsonl or .parquet file")
    elif path.is_file():
        found = [path]
    else:
        found = sorted(match for match in _matches(path) if _is_table(match) or match.is_file())
        if not found:
            raise InputError(f"collect.source: no such file {place}")
    for file in found:
        if not file.is_file():
            raise InputError(f"collect.source: {file} is a folder or a broken link; give it alone, or take it away")
        if not _is_table(file):
            raise InputError(
                f"collect.source: {file} is neither .jsonl nor .parquet; write it as JSONL, an object a line"
            )
    return found


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in JSONL + PARQUET


def _matches(pattern: Path) -> Iterator[Path]:
    start = Path(pattern.anchor or ".")
    return start.glob(str(pattern.relative_to(start) if pattern.anchor else pattern))


def scan(file: Path) -> ScannedFile:
    """Hash a file and count its rows, in one pass; a process does so once, until the file changes.

    Raises InputError for a file that cannot be read.
    """
    try:
        state = file.stat()
        return _scanned(file.resolve(), state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
    except OSError as error:
        raise InputError(f"collect.source: {file} cannot be read ({_reason(error)})") from error


@lru_cache(maxsize=1024)
def _scanned(file: Path, size: int, written: int, changed: int, inode: int) -> ScannedFile:
    if file.suffix.lower() in PARQUET:
        return ScannedFile(hash_file(file), open_parquet(file, "collect.source").metadata.num_rows)
    digest, rows, is_start = hashlib.sha256(), 0, True
    with file.open("rb") as handle:
        while line := handle.readline(LONGEST_LINE):
            digest.update(line)
            rows += is_start and not _is_blank(line)
            is_start = line.endswith(b"\n")
    return ScannedFile(digest.hexdigest(), rows)


def column_names(file: Path, head: Iterable[Row | Unusable]) -> list[str]:
    """The columns of a file: of Parquet as its schema has them, of JSONL those of its first rows.

    Raises InputError where none of these is a row.
    """
    if file.suffix.lower() in PARQUET:
        return list(open_parquet(file, "collect.source").schema_arrow.names)
    names: dict[str, None] = {}
    fault: Unusable | None = None
    is_row = False
    for row in head:
        if isinstance(row, Row):
            is_row = True
            names.update(dict.fromkeys(row))
        else:
            fault = fault or row
    if not is_row:
        raise InputError(f"collect.source: {fault or f'{file} holds no rows'}")
    return list(names)


def rows_of(file: Path, columns: Sequence[str] | None = None) -> Iterator[Row | Unusable]:
    """The rows of a file in order; `columns` spares the reading of others in Parquet.

    In the place of a line that is no row stands what is wrong with it. Raises InputError for damaged Parquet.
    """
    return _parquet_rows(file, columns) if file.suffix.lower() in PARQUET else _lines(file)


def _lines(file: Path) -> Iterator[Row | Unusable]:
    number, is_whole = 0, True
    with file.open("rb") as handle:
        while line := handle.readline(LONGEST_LINE):
            starts, is_whole = is_whole, line.endswith(b"\n")
            if not starts:
                continue  # the rest of a line that was told already
            number += 1
            if number == 1:
                line = line.removeprefix(_MARK)
            if _is_blank(line):
                continue
            place = f"line {number} of {file}"
            if not is_whole and len(line) >= LONGEST_LINE:
                yield LongLine(f"{place} is longer than {LONGEST_LINE >> 20} MB")
                continue
            yield _row(place, line)


def _row(place: str, line: bytes) -> Row | Unusable:
    try:
        found = json_row(place, line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return BrokenLine(f"{place} is not UTF-8 text ({error.reason} at byte {error.start})")
    return found if isinstance(found, Row) else BrokenLine(str(found))


def _is_blank(line: bytes) -> bool:
    return not line.strip() or line.strip() == _MARK


def _parquet_rows(file: Path, columns: Sequence[str] | None) -> Iterator[Row]:
    import pyarrow as pa

    table = open_parquet(file, "collect.source")
    wanted = None if columns is None else [name for name in table.schema_arrow.names if name in columns]
    number = 0
    try:
        for batch in table.iter_batches(batch_size=_PARQUET_ROWS, columns=wanted, use_threads=False):
            for index in range(batch.num_rows):
                number += 1
                values = {name: cell_value(batch.column(name)[index]) for name in batch.schema.names}
                yield Row(values, f"row {number} of {file}")
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"collect.source: {file} is damaged after row {number} ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    told = error.strerror if isinstance(error, OSError) else None
    return told or str(error).partition("\n")[0]
