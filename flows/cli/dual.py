"""`latent dual`: build a dual-vocabulary model and verify one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Build and verify dual-vocabulary models.", no_args_is_help=True)


@app.command()
def build(
    base: Annotated[str, typer.Argument(help="Base model: packaged name, directory or hub id")],
    out: Annotated[Path, typer.Argument(help="Directory to write; must be absent or empty")],
    mode: Annotated[str, typer.Option(help="full_copy or subset")] = "full_copy",
    pattern: Annotated[str | None, typer.Option(help="subset: regular expression on decoded tokens")] = None,
    think_missing: Annotated[str, typer.Option(help="error, add or clone_eos")] = "error",
    seed: int = 0,
) -> None:
    """Write the dual-vocabulary model of a base model."""
    from latent_core.dual import build_dual
    from latent_core.models.source import open_model

    report = build_dual(
        open_model(base).directory, out, mode=mode, subset_pattern=pattern, think_missing=think_missing, seed=seed
    )
    for line in report.lines():
        typer.echo(line)


@app.command()
def verify(
    directory: Annotated[Path, typer.Argument(help="Directory of a dual model")],
    trained: Annotated[
        bool, typer.Option(help="Latent rows were trained, so they may differ from their sources")
    ] = False,
) -> None:
    """Check every row, the sizes, the think tokens and a constrained generation; exit code 1 if anything is wrong."""
    from latent_core.dual import verify_dual

    report = verify_dual(directory, trained=trained)
    for line in report.lines():
        typer.echo(line)
    if not report.ok:
        raise typer.Exit(1)
