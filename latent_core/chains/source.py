"""Where chains of thought are read from: local files, or a data set of the hub; pinned by its content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from latent_core.benchmarks.rows import Row
from latent_core.benchmarks.values import Unusable
from latent_core.chains import files, hub
from latent_core.chains.columns import settled_columns
from latent_core.chains.rows import LeftOutError, asked_in, chains_in
from latent_core.config.chains import FILE_PREFIX, ChainColumns, ChainsConfig
from latent_core.errors import InputError
from latent_core.identity import fingerprint

LOOKED_AT = 1000  # rows that are tried when a run is planned

Rows = Callable[[Sequence[str]], Iterator[Row | Unusable]]


@dataclass(frozen=True)
class ChainSource:
    """A table of chains of thought. `content` pins what it holds, `rows` is how many rows are to be read.

    `columns` are those that are read; `read` gives the rows in order, as a stream that can be started again.
    """

    content: str
    rows: int
    columns: ChainColumns
    read: Callable[[], Iterator[Row | Unusable]]

    @property
    def fingerprint(self) -> str:
        return fingerprint("chains", 1, {"content": self.content}, {})


def open_source(source: str, config: ChainsConfig) -> ChainSource:
    """Open `collect.source`, a file, a folder, a pattern or a data set of the hub.

    Raises InputError for what is not there or no table, for a column that it lacks, for a table without rows, and where
    none of its first 1,000 rows can be used: then the mapping is wrong, or the file.
    """
    is_local = source.startswith(FILE_PREFIX)
    found = _local(source.removeprefix(FILE_PREFIX)) if is_local else _of_hub(source, config)
    rows = found.rows if config.rows is None else min(found.rows, config.rows)
    if not rows:
        raise InputError(f"collect.source: {source} holds no rows; give another")
    looked_at = min(rows, LOOKED_AT)
    columns = settled_columns(config.columns, found.names(looked_at), source, config.grading)
    wanted = tuple(dict.fromkeys(columns.named().values()))
    _check_some_are_usable(islice(found.read(wanted), looked_at), columns, config, source)
    return ChainSource(found.content, rows, columns, lambda: islice(found.read(wanted), rows))


@dataclass(frozen=True)
class _Found:
    content: str
    rows: int
    names: Callable[[int], list[str]]
    read: Callable[[Sequence[str] | None], Iterator[Row | Unusable]]


def _local(place: str) -> _Found:
    paths = files.files_of(place)
    scanned = [files.scan(path) for path in paths]

    def names(looked_at: int) -> list[str]:
        return files.column_names(paths[0], islice(read(None), looked_at))

    def read(columns: Sequence[str] | None) -> Iterator[Row | Unusable]:
        return chain.from_iterable(files.rows_of(path, columns) for path in paths)

    return _Found(_joined([item.sha256 for item in scanned]), sum(item.rows for item in scanned), names, read)


def _joined(hashes: Sequence[str]) -> str:
    return "/".join(hashes)


def _of_hub(source: str, config: ChainsConfig) -> _Found:
    table = hub.open_dataset(source, config.subset, config.split)
    return _Found(table.content, table.rows, lambda _: list(table.columns), table.read)


def _check_some_are_usable(
    rows: Iterable[Row | Unusable], columns: ChainColumns, config: ChainsConfig, source: str
) -> None:
    """Look at one row after the other, never at all of them at once, until one can be used."""
    fault, broken, looked_at = "", "", 0
    for row in rows:
        looked_at += 1
        if isinstance(row, Unusable):
            broken = broken or str(row)
            continue
        try:
            asked_in(row, columns, config.grading)
            found = next((item for item in chains_in(row, columns, config.unmarked)), None)
            if not isinstance(found, LeftOutError):
                return
            fault = fault or f"{found} ({row.place})"
        except LeftOutError as error:
            fault = fault or f"{error} ({row.place})"
    raise InputError(
        f"collect.source: of the first {looked_at} rows of {source} none can be used: {fault or broken}; check "
        f"collect.chains.columns, which are {', '.join(f'{role}: {name}' for role, name in columns.named().items())}"
    )
