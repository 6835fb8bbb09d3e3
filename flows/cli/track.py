"""`latent track`: keep MLflow in step with the store."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.artifacts import DEFAULT_STORE, StoreRoot, open_store

app = typer.Typer(help="Keep MLflow in step with the store.", no_args_is_help=True)


@app.callback()
def track() -> None:
    """Keep MLflow in step with the store."""


@app.command()
def champion(
    name: Annotated[str, typer.Argument(help="Registered model, e.g. tokenskip-math")],
    version: Annotated[str, typer.Argument(help="Version or alias that becomes the champion, e.g. 3 or dual")],
    uri: Annotated[str | None, typer.Option(help="MLflow tracking URI; default as for runs")] = None,
) -> None:
    """Move the alias `champion`, which the nightly re-evaluation follows, to another version."""
    from latent_core.config.runtime import TrackingConfig
    from tasks.tracking import CHAMPION, set_champion

    number = set_champion(TrackingConfig(uri=uri), name, version)
    typer.echo(f"models:/{name}@{CHAMPION} is version {number}")


@app.command()
def sync(
    store: StoreRoot = DEFAULT_STORE,
    uri: Annotated[str | None, typer.Option(help="MLflow tracking URI; default as for runs")] = None,
    experiment: Annotated[str, typer.Option(help="MLflow experiment")] = "latent-reasoning",
) -> None:
    """Rebuild what MLflow lacks: runs of stages from their manifests, flows from their journals, registered models."""
    from latent_core.config.runtime import TrackingConfig
    from tasks.tracking import sync as synchronise

    done = synchronise(open_store(store), TrackingConfig(uri=uri, experiment=experiment))
    typer.echo(f"{done.stages} runs of stages and {done.flows} of flows logged, {done.there} were there already")
    typer.echo(f"{done.models} versions of models registered")
