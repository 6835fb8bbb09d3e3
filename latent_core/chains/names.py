"""What is unique among chains of thought: questions, the samples of each, and texts; kept on disk, not in memory."""

from __future__ import annotations

import re
import sqlite3
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from latent_core.chains.rows import LARGEST_SAMPLE, Asked, Chain, LeftOutError, Reason

_SAMPLE_OF_ID = re.compile(r"(.+)_s(\d{1,9})", re.DOTALL)
_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE questions (digest BLOB PRIMARY KEY, number INTEGER, shard INTEGER, name TEXT) WITHOUT ROWID;
CREATE TABLE names (name TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID;
CREATE TABLE texts (digest BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE given (name TEXT, sample INTEGER, PRIMARY KEY (name, sample)) WITHOUT ROWID;
CREATE TABLE samples (number INTEGER, sample INTEGER, PRIMARY KEY (number, sample)) WITHOUT ROWID;
"""


class Place(NamedTuple):
    """Where a chain belongs: its question's number (in order of first appearance), shard and id, and its own number."""

    number: int
    shard: int
    question_id: str
    sample_index: int


class Names:
    """Gives every chain its place. Use as a context manager; the file is a scratch file that nobody else reads.

    Rows with the same question, apart from white space, are samples of one question, whatever their ids: a question
    must not be trained on and validated with. It is named after the first of them.
    """

    def __init__(self, file: Path) -> None:
        file.unlink(missing_ok=True)
        self._file = file
        self._database = sqlite3.connect(file, isolation_level=None)
        self._database.executescript(_TABLES)
        self._database.execute("BEGIN")
        self.questions = 0

    def __enter__(self) -> Names:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        self._file.unlink(missing_ok=True)

    def place(self, asked: Asked, chain: Chain, row: int, shard: int, *, is_only: bool = True) -> Place:
        """The place of a chain of the row with this number, which is read for `shard`.

        A sample number that the row gives is that of its `is_only` chain; the chains of a list are counted.

        Raises LeftOutError for a text that the question has already, and for ids that contradict each other.
        """
        key = _digest(asked.question)
        text = _digest(chain.reasoning or "", chain.words, base=key)
        if self._one("SELECT 1 FROM texts WHERE digest = ?", text):
            raise LeftOutError(Reason.DUPLICATE)
        name, sample = _name_and_sample(asked)
        sample = sample if is_only else None
        known = self._one("SELECT number, shard, name FROM questions WHERE digest = ?", key)
        number = self.questions if known is None else known[0]
        name = self._own_name(asked, name, number)
        if (
            name is not None
            and sample is not None
            and self._one("SELECT 1 FROM given WHERE name = ? AND sample = ?", name, sample)
        ):
            raise LeftOutError(Reason.DUPLICATE_ID, f"{name!r:.80} sample {sample} was there already")
        if known is None:
            name = self._unnamed(row) if name is None else name
            known = (number, shard, name)
            self._do("INSERT INTO questions VALUES (?, ?, ?, ?)", key, *known)
            self.questions += 1
        if name is not None:
            self._do("INSERT OR IGNORE INTO names VALUES (?, ?)", name, number)
            if sample is not None:
                self._do("INSERT INTO given VALUES (?, ?)", name, sample)
        self._do("INSERT INTO texts VALUES (?)", text)
        index = self._free(number, sample)
        self._do("INSERT INTO samples VALUES (?, ?)", number, index)
        return Place(number, known[1], known[2], index)

    def _own_name(self, asked: Asked, name: str | None, number: int) -> str | None:
        """The id, unless it names another question already; an end like `_s3` then counts as a part of it."""
        for candidate in dict.fromkeys((name, asked.id)):
            if candidate is None:
                return None
            owner = self._one("SELECT number FROM names WHERE name = ?", candidate)
            if owner is None or owner[0] == number:
                return candidate
        raise LeftOutError(Reason.DUPLICATE_ID, f"{asked.id!r:.80} names another question already")

    def _unnamed(self, row: int) -> str:
        """What a question is called that has no id."""
        name = f"row_{row}"
        while self._one("SELECT 1 FROM names WHERE name = ?", name):
            name += "_"
        return name

    def _free(self, number: int, sample: int | None) -> int:
        """The number that a sample has, if it is free in its question, or else the next."""
        if sample is not None and not self._one(
            "SELECT 1 FROM samples WHERE number = ? AND sample = ?", number, sample
        ):
            return sample
        highest = self._one("SELECT max(sample) FROM samples WHERE number = ?", number)
        if highest is None or highest[0] is None:
            return 0
        if highest[0] < LARGEST_SAMPLE:
            return int(highest[0]) + 1
        return self._lowest_free(number)

    def _lowest_free(self, number: int) -> int:
        before_free = """
            SELECT min(sample) FROM (SELECT -1 AS sample UNION ALL SELECT sample FROM samples WHERE number = ?1) AS one
            WHERE NOT EXISTS (SELECT 1 FROM samples WHERE number = ?1 AND sample = one.sample + 1)
        """
        found = self._one(before_free, number)
        return 0 if found is None else int(found[0]) + 1

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._database.execute(query, values).fetchone()
        return found

    def _do(self, statement: str, *values: object) -> None:
        self._database.execute(statement, values)


def _name_and_sample(asked: Asked) -> tuple[str | None, int | None]:
    match = _SAMPLE_OF_ID.fullmatch(asked.id or "")
    if match is None:
        return asked.id, asked.sample
    return match[1], asked.sample if asked.sample is not None else int(match[2])


def _digest(*texts: str, base: bytes = b"") -> bytes:
    found = blake2b(base, digest_size=16)
    for text in texts:
        found.update(" ".join(text.split()).encode("utf-8", "surrogatepass"))
        found.update(b"\0")
    return found.digest()
