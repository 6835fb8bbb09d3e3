"""Rollouts on disk, a file a step, so that a run that goes on from a checkpoint writes over the steps it repeats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latent_core.atomic import atomic_file
from latent_core.rl.policy.processes import Processes
from latent_core.store.columns import rows_of_batch, table_of_rows

if TYPE_CHECKING:
    import pyarrow as pa

_FILE = "step-{:06d}.parquet"


class RolloutFiles:
    """The files of one training in `folder`, which is made if it is not there."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder = folder
        self._schema = schema
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """A file is there as a whole or not at all; rows may have more columns than are kept."""
        import pyarrow.parquet as pq

        names = self._schema.names
        table = table_of_rows([{name: row[name] for name in names} for row in rows], self._schema)
        with atomic_file(self._folder / _FILE.format(step)) as partial:
            pq.write_table(table, partial)

    def write_everyones(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the rows of all processes, each of which calls this; the file is there for all of them afterwards."""
        processes, names = Processes.here(), self._schema.names
        everyones = processes.everyones({name: row[name] for name in names} for row in rows)
        if processes.rank == 0:
            self.write(step, everyones)
        processes.everyones(())  # whoever reads the file at the next step waits until it is there

    def rows(self, steps: Iterable[int], columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """The rows of these steps, in order; with `columns` only these."""
        import pyarrow.parquet as pq

        for step in steps:
            for batch in pq.ParquetFile(self._folder / _FILE.format(step)).iter_batches(columns=columns):
                yield from rows_of_batch(batch)
