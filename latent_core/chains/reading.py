"""Reading a table of chains of thought: row by row into shards, each row kept or counted with its reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from latent_core.benchmarks.rows import Row
from latent_core.benchmarks.values import Unusable
from latent_core.chains.files import LongLine
from latent_core.chains.names import Names
from latent_core.chains.rows import Chain, LeftOutError, Reason, asked_in, chains_in
from latent_core.chains.source import ChainSource
from latent_core.config.chains import ChainColumns, ChainGrading, Unmarked

if TYPE_CHECKING:
    import pyarrow as pa

NAMED_FAULTS = 3  # of each reason, with their places


def chain_schema() -> pa.Schema:
    """Columns of a chain of thought before it is graded.

    `question_number` counts questions in the order of their first rows; `reasoning` is null where nothing marks it,
    and `words` is then the whole text; `gold` is null where a trusted chain has no answer beside it.
    """
    import pyarrow as pa

    return pa.schema(
        [
            ("question_number", pa.int64()),
            ("question_id", pa.string()),
            ("sample_index", pa.int32()),
            ("question", pa.string()),
            ("gold", pa.string()),
            ("reasoning", pa.string()),
            ("words", pa.string()),
            ("is_closed", pa.bool_()),
        ]
    )


class PlacedChain(NamedTuple):
    """A row of `chain_schema`, the shard that is being read, and the shard of its question, which may be earlier."""

    row: dict[str, Any]
    read_in: int
    shard: int


class ChainReader:
    """Reads a source once. Afterwards `accounting` has every chain, and every row without one, kept or by reason."""

    def __init__(
        self, source: ChainSource, grading: ChainGrading, unmarked: Unmarked, shard_rows: int, names: Names
    ) -> None:
        self._source = source
        self._columns: ChainColumns = source.columns
        self._grading = grading
        self._unmarked = unmarked
        self._shard_rows = shard_rows
        self._names = names
        self.accounting: Counter[str] = Counter()
        self.faults: dict[str, list[str]] = {}
        self.rows = 0
        self.empty_rows = 0  # those that gave no chain at all

    def placed(self) -> Iterator[PlacedChain]:
        """The chains in the order of the source."""
        for number, row in enumerate(self._source.read()):
            self.rows += 1
            kept = 0
            for placed in self._of_row(number, row):
                kept += 1
                yield placed
            self.empty_rows += not kept

    def _of_row(self, number: int, row: Row | Unusable) -> Iterator[PlacedChain]:
        if isinstance(row, Unusable):
            self._leave_out(Reason.TOO_LARGE if isinstance(row, LongLine) else Reason.BROKEN_LINE, str(row))
            return
        try:
            asked = asked_in(row, self._columns, self._grading)
        except LeftOutError as error:
            self._leave_out(error.reason, f"{row.place}: {error}")
            return
        found = list(chains_in(row, self._columns, self._unmarked))
        shard = number // self._shard_rows
        for item in found:
            try:
                if isinstance(item, LeftOutError):
                    raise item
                place = self._names.place(asked, item, number, shard, is_only=len(found) == 1)
            except LeftOutError as error:
                self._leave_out(error.reason, f"{row.place}: {error}")
                continue
            self.accounting["kept"] += 1
            columns = _columns(item) | {
                "question_number": place.number,
                "question_id": place.question_id,
                "sample_index": place.sample_index,
                "question": asked.question,
                "gold": asked.gold,
            }
            yield PlacedChain(columns, shard, place.shard)

    def _leave_out(self, reason: Reason, place: str) -> None:
        self.accounting[reason.value] += 1
        named = self.faults.setdefault(reason.value, [])
        if len(named) < NAMED_FAULTS:
            named.append(place)


def _columns(chain: Chain) -> dict[str, Any]:
    return {"reasoning": chain.reasoning, "words": chain.words, "is_closed": chain.is_closed}


class LateChains:
    """Chains whose question began in an earlier shard: kept in files, one a shard, until all is read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.count = 0
        for file in folder.glob("late-*.jsonl"):  # of an attempt that was killed
            file.unlink()

    def add(self, shard: int, row: dict[str, Any]) -> None:
        self.count += 1
        with self._file(shard).open("a", encoding="utf-8") as handle:
            handle.write(f"{json.dumps(row)}\n")

    def of(self, shard: int) -> Iterator[dict[str, Any]]:
        """Those of a shard, in the order in which they came; none where there is no file."""
        if self._file(shard).exists():
            with self._file(shard).open(encoding="utf-8") as handle:
                yield from map(json.loads, handle)

    def has(self, shard: int) -> bool:
        return self._file(shard).exists()

    def _file(self, shard: int) -> Path:
        return self._folder / f"late-{shard}.jsonl"
