"""`latent artifacts`: what the store holds, and whether it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from latent_core.store import Artifact, ArtifactStore
    from latent_core.store.manifest import Content

app = typer.Typer(help="List, show and verify artifacts.", no_args_is_help=True)
StoreRoot = Annotated[str, typer.Option("--store", help="Local path or s3://bucket/prefix")]
Address = Annotated[str, typer.Argument(help="stage/fingerprint; the fingerprint may be shortened")]
DEFAULT_STORE = ".latent/store"


@app.command("ls")
def list_artifacts(
    store: StoreRoot = DEFAULT_STORE,
    stage: Annotated[str | None, typer.Option(help="Only artifacts of this stage, e.g. evaluate")] = None,
    check: Annotated[bool, typer.Option("--check", help="Look whether every file is there with its size")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output")] = False,
) -> None:
    """List committed artifacts: date, size, accuracy, and what each was made for, as far as that is known."""
    from flows.cli.listing import listed
    from flows.cli.tables import print_json

    opened = open_store(store)
    listing = listed(opened, stage, check)
    if stage is not None and not listing:
        there = ", ".join(sorted({ref.stage for ref in opened.list()}))
        typer.secho(f"note: the store holds nothing of a stage {stage}; its stages: {there or 'none'}", err=True)
    if as_json:
        print_json([item.to_json() for item in listing])
        return
    # Not rich: its tables measure every cell first, which takes seconds for ten thousand lines.
    typer.echo(
        f"{'stage':<18} {'fingerprint':<12} {'made':<16} {'rows':>9} {'took':>10} {'size':>9} {'accuracy':>8}  "
        f"{'state':<9}  made for"
    )
    for item in listing:
        typer.echo(item.line())


@app.command()
def show(
    address: Address,
    store: StoreRoot = DEFAULT_STORE,
    hashed: Annotated[
        bool, typer.Option("--hashed", help="Show only what the fingerprint is computed from, to compare two artifacts")
    ] = False,
) -> None:
    """Print an artifact's manifest."""
    import json

    from rich.console import Console

    from latent_core.store.layout import MANIFEST

    opened = open_store(store)
    artifact = opened.require(opened.find(address))
    if hashed:
        typer.echo(json.dumps(_hashed(artifact.manifest.content), indent=2, sort_keys=True))
    else:
        Console().print_json(opened.read(f"{artifact.ref.key}/{MANIFEST}").decode())


def _hashed(content: Content) -> dict[str, object]:
    """What a fingerprint is computed from; parents are written in one way, whatever the manifest's format."""
    parents = {role: str(parent.ref or parent.fingerprint) for role, parent in content.parents.items()}
    return {
        "stage": content.stage,
        "stage_version": content.stage_version,
        "identity": content.identity,
        "parents": parents,
    }


@app.command("export")
def export_(
    address: Address,
    table: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help="Name of the table; without it the only one there is")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="New file; without it standard output")] = None,
    kind: Annotated[
        str | None,
        typer.Option("--format", help="jsonl, csv or parquet; without it as the file's name ends, else jsonl"),
    ] = None,
    columns: Annotated[str | None, typer.Option(help="Columns to write, in this order: a,b; all without it")] = None,
    where: Annotated[
        list[str], typer.Option(help="column=value: only such rows; may be repeated, then all must hold")
    ] = [],  # noqa: B006
    store: StoreRoot = DEFAULT_STORE,
) -> None:
    """Write a table of an artifact as JSONL, CSV or Parquet, with the columns and rows asked for."""
    from flows.cli.table_export import export_table, format_named

    artifact = find_artifact(store, address)
    names = [name.strip() for name in columns.split(",")] if columns else []
    export_table(artifact, table, format_named(kind), names, where, out)


@app.command()
def verify(
    address: Annotated[str | None, typer.Argument(help="stage/fingerprint; all artifacts without it")] = None,
    store: StoreRoot = DEFAULT_STORE,
    set_aside: Annotated[
        bool,
        typer.Option("--set-aside", help="Make what is damaged not exist, so that a run computes it again"),
    ] = False,
) -> None:
    """Read every byte and compare hashes; exit code 1 if anything is damaged."""
    opened = open_store(store)
    refs = [opened.find(address)] if address else list(opened.list())
    damaged = 0
    for ref in refs:
        result = opened.verify(ref)
        damaged += not result.ok
        typer.echo(f"{'ok     ' if result.ok else 'DAMAGED'} {ref}  {result.files} files, {result.bytes:,} bytes")
        for problem in result.problems:
            typer.echo(f"        {problem}")
        if set_aside and not result.ok:
            opened.set_aside(ref)
            typer.echo("        set aside; run again what made it")
    typer.echo(f"{len(refs)} artifacts, {damaged} damaged")
    if damaged:
        raise typer.Exit(1)


@app.command()
def gc(
    keep: Annotated[
        list[str], typer.Option(help="stage/fingerprint to keep, with all it was made from; without it all artifacts")
    ] = [],  # noqa: B006  (typer copies it)
    older_than: Annotated[float, typer.Option(min=0, help="Hours since a leftover's last write")] = 24.0,
    delete: Annotated[bool, typer.Option("--delete", help="Delete; without it only show")] = False,
    store: StoreRoot = DEFAULT_STORE,
) -> None:
    """Show, or --delete, files without a manifest, artifacts behind no kept one, unfinished uploads, old results."""
    from latent_core.store import collect_garbage, find_garbage
    from latent_core.store.garbage import RESULTS_SECONDS

    opened = open_store(store)
    roots = [opened.find(address) for address in keep] if keep else None
    garbage = find_garbage(opened, roots, grace=older_than * 3600)
    for leftover in garbage.leftovers:
        typer.echo(f"leftover     {leftover.folder}  {leftover.files} files, {leftover.bytes:,} bytes")
    for ref in garbage.unreachable:
        typer.echo(f"unreachable  {ref}")
    for upload in garbage.uploads:
        typer.echo(f"upload       {upload.key}  begun {upload.age / 3600:.0f} hours ago, never finished")
    if garbage.results:
        days = RESULTS_SECONDS / 86400
        typer.echo(f"results      {len(garbage.results)} files of Prefect's, older than {days:g} days")
    count = len(garbage.leftovers) + len(garbage.unreachable) + len(garbage.uploads) + len(garbage.results)
    young = f"; {len(garbage.too_young)} leftovers are younger than {older_than:g} h" if garbage.too_young else ""
    typer.echo(f"{count} to delete, {garbage.bytes:,} bytes{young}")
    if delete:
        collect_garbage(opened, garbage)
        typer.echo("deleted")
    elif count:
        typer.echo("nothing was deleted; repeat with --delete")


def find_artifact(store: str, address: str) -> Artifact:
    """The artifact at `address` (stage/fingerprint, which may be shortened) in the store at the path or URL `store`."""
    opened = open_store(store)
    return opened.require(opened.find(address))


def open_store(store: str) -> ArtifactStore:
    """The store at a path or URL. Raises InputError for a folder that is not there: a misspelt one looks empty."""
    from latent_core.errors import InputError
    from latent_core.store import ArtifactStore

    opened = ArtifactStore(store)
    if "://" not in store and not Path(opened.root).exists():
        raise InputError(f"--store: there is no store at {opened.root} yet; `latent run` makes one, or name another")
    return opened
