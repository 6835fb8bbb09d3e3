"""What `latent artifacts export` does: a table of an artifact as a file, or to standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from latent_core.atomic import atomic_file
from latent_core.errors import InputError
from latent_core.export.rows import TableFormat, Where, Written, check_columns, selected, write_rows
from latent_core.store import Artifact


def export_table(
    artifact: Artifact,
    table: str | None,
    kind: TableFormat | None,
    columns: Sequence[str],
    where: Sequence[str],
    out: Path | None,
) -> None:
    """Write the rows that are asked for. Everything is checked before a row is read."""
    path = table_of(artifact, table)
    schema = artifact.schema(path)
    chosen = list(columns) or schema.names
    check_columns(schema, chosen)
    filters = [Where.parse(words) for words in where]
    for each in filters:
        each.check(schema)
    kind = _format(kind, out)
    needed = list(dict.fromkeys([*chosen, *(each.column for each in filters)]))
    counts = Written()
    import pyarrow as pa

    picked = pa.schema([schema.field(name) for name in chosen])
    rows = selected(artifact.batches(path, needed), chosen, filters, counts)
    if out is None:
        try:
            write_rows(rows, picked, kind, sys.stdout.buffer, counts)
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # the reader, such as head, has enough; Python would flush once more at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return
    else:
        with atomic_file(out) as partial, partial.open("wb") as file:
            write_rows(rows, picked, kind, file, counts)
    rest = f" of {counts.read:,}" if filters else ""
    lost = f"; {counts.not_finite:,} numbers are not finite and became null" if counts.not_finite else ""
    typer.echo(f"{path} of {artifact.ref}: {counts.rows:,}{rest} rows{f' to {out}' if out else ''}{lost}", err=True)


def table_of(artifact: Artifact, name: str | None) -> str:
    """The path of the table `name`, with or without its suffix; without a name the only one there is."""
    tables = artifact.tables()
    if not tables:
        raise InputError(
            f"ARTIFACT: {artifact.ref} has no table; `latent artifacts show {artifact.ref}` lists its files"
        )
    known = ", ".join(path.removesuffix(".parquet") for path in tables)
    if name is None:
        if len(tables) > 1:
            raise InputError(f"TABLE: {artifact.ref} has several; name one of {known}")
        return tables[0]
    found = [path for path in tables if name in (path, path.removesuffix(".parquet"))]
    if not found:
        raise InputError(f"TABLE: {artifact.ref} has no {name!r}; it has {known}")
    return found[0]


def format_named(word: str | None) -> TableFormat | None:
    """The format that a user names. Raises InputError for another one."""
    if word is not None and word not in list(TableFormat):
        raise InputError(f"--format: {word!r} is none of {', '.join(TableFormat)}")
    return None if word is None else TableFormat(word)


def _format(kind: TableFormat | None, out: Path | None) -> TableFormat:
    """As asked for, else as the file's name says. Raises InputError for what cannot be written there."""
    if out is not None and not out.absolute().parent.is_dir():
        raise InputError(f"--out: there is no folder {out.absolute().parent}; make it first")
    if out is not None and out.exists():
        raise InputError(f"--out: {out} exists already; remove it or name another")
    if kind is None:
        suffix = "" if out is None else out.suffix.removeprefix(".")
        if out is not None and suffix not in list(TableFormat):
            raise InputError(f"--format: {out.name} does not say it; choose one of {', '.join(TableFormat)}")
        kind = TableFormat.JSONL if out is None else TableFormat(suffix)
    if out is None and kind is TableFormat.PARQUET:
        raise InputError("--out: a Parquet file needs a name; say -o FILE")
    return kind
