"""`latent track`: keep MLflow in step with the store, and say which trained model is the champion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.artifacts import DEFAULT_STORE, StoreRoot, open_store

if TYPE_CHECKING:
    from latent_core.config.runtime import TrackingConfig

app = typer.Typer(help="Keep MLflow in step with the store; name a champion.", no_args_is_help=True)
TrackingUri = Annotated[str | None, typer.Option(help="MLflow tracking URI; default as for runs")]


def tracking_at(uri: str | None, **fields: str) -> TrackingConfig:
    """Where a command finds MLflow; raises InputError for an address that must not be given so."""
    from flows.launch.parameters import checked
    from latent_core.config.runtime import TrackingConfig

    return checked(TrackingConfig, {"uri": uri, **fields})


@app.callback()
def track() -> None:
    """Keep MLflow in step with the store; name a champion."""


@app.command()
def champion(
    name: Annotated[str, typer.Argument(help="Registered model, e.g. tokenskip-math; `latent models` lists them")],
    version: Annotated[str, typer.Argument(help="Version or alias that becomes the champion, e.g. 3 or dual")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, also when the candidate is not better")] = False,
    store: StoreRoot = DEFAULT_STORE,
    uri: TrackingUri = None,
) -> None:
    """Move the alias `champion`, which the nightly re-evaluation follows, to another version.

    Shows champion and candidate, and asks when the candidate is not better. Better means: of the conditions in which
    both were evaluated on the same questions, accuracy rose beyond noise in at least one and fell so in none (McNemar's
    test or Student's, Holm's correction over the conditions, 5 %).
    """
    from flows.cli.models import move_champion

    move_champion(name, version, open_store(store), tracking_at(uri), yes)


@app.command()
def sync(
    store: StoreRoot = DEFAULT_STORE,
    uri: TrackingUri = None,
    experiment: Annotated[str, typer.Option(help="MLflow experiment")] = "latent-reasoning",
) -> None:
    """Rebuild what MLflow lacks: stages' runs from their manifests, flows' from their journals, registered models."""
    from tasks.tracking.mlflow import sync as synchronise

    done = synchronise(open_store(store), tracking_at(uri, experiment=experiment))
    typer.echo(f"{done.stages} runs of stages and {done.flows} of flows logged, {done.there} were there already")
    typer.echo(f"{done.models} versions of models registered")
