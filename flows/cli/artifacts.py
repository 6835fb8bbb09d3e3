"""`latent artifacts`: what the store holds, and whether it is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from latent_core.store import Artifact

app = typer.Typer(help="List, show and verify artifacts.", no_args_is_help=True)
StoreRoot = Annotated[str, typer.Option("--store", help="Local path or s3://bucket/prefix")]
Address = Annotated[str, typer.Argument(help="stage/fingerprint; the fingerprint may be shortened")]
DEFAULT_STORE = ".latent/store"


@app.command("ls")
def list_artifacts(store: StoreRoot = DEFAULT_STORE, stage: Annotated[str | None, typer.Option()] = None) -> None:
    """List committed artifacts."""
    from rich.console import Console
    from rich.table import Table

    from latent_core.store import ArtifactStore

    opened = ArtifactStore(store)
    table = Table("stage", "fingerprint", "rows", "seconds", "state")
    for ref in opened.list():
        if stage is not None and ref.stage != stage:
            continue
        damage = opened.damage(ref)
        artifact = opened.get(ref.stage, ref.fingerprint)
        rows = f"{artifact.rows:,}" if artifact else "-"
        seconds = f"{artifact.manifest.record['seconds']:.1f}" if artifact else "-"
        table.add_row(ref.stage, ref.fingerprint[:12], rows, seconds, damage or "whole")
    Console().print(table)


@app.command()
def show(address: Address, store: StoreRoot = DEFAULT_STORE) -> None:
    """Print an artifact's manifest."""
    from rich.console import Console

    Console().print_json(find_artifact(store, address).manifest.to_bytes().decode())


@app.command()
def verify(
    address: Annotated[str | None, typer.Argument(help="stage/fingerprint; all artifacts without it")] = None,
    store: StoreRoot = DEFAULT_STORE,
) -> None:
    """Read every byte and compare hashes; exit code 1 if anything is damaged."""
    from latent_core.store import ArtifactStore

    opened = ArtifactStore(store)
    refs = [opened.find(address)] if address else list(opened.list())
    damaged = 0
    for ref in refs:
        result = opened.verify(ref)
        damaged += not result.ok
        typer.echo(f"{'ok     ' if result.ok else 'DAMAGED'} {ref}  {result.files} files, {result.bytes:,} bytes")
        for problem in result.problems:
            typer.echo(f"        {problem}")
    if damaged:
        raise typer.Exit(1)


def find_artifact(store: str, address: str) -> Artifact:
    """The artifact at `address` (stage/fingerprint, which may be shortened) in the store at the path or URL `store`."""
    from latent_core.store import ArtifactStore

    opened = ArtifactStore(store)
    return opened.require(opened.find(address))
