"""What `latent models` and `latent track champion` say of registered models."""

from __future__ import annotations

import sys
import time

import typer

from latent_core.config.runtime import TrackingConfig
from latent_core.errors import InputError
from latent_core.store import ArtifactStore
from tasks.tracking.models import CHAMPION
from tasks.tracking.versions import ModelVersion, compare, find_candidate, known_versions, promote, registered_names


def list_models(name: str | None, store: ArtifactStore, tracking: TrackingConfig) -> None:
    """Print every version of a registered model, or of all. Raises InputError where none has this name."""
    names = [name] if name is not None else registered_names(tracking)
    known = {each: found for each in names if (found := known_versions(each, store, tracking))}
    if name is not None and not known:
        raise InputError(
            f"model: no run registered a model as {name} (tracking.register_as); `latent models` lists the names"
        )
    for each, found in known.items():
        typer.secho(each, bold=True)
        for version in found:
            _print(version)
        if not any(CHAMPION in version.aliases for version in found):
            typer.echo(f"  has no champion: latent track champion {each} VERSION")
    if not known:
        typer.echo("no model is registered; a training run registers its own under tracking.register_as")


def move_champion(name: str, wanted: str, store: ArtifactStore, tracking: TrackingConfig, yes: bool) -> None:
    """Show champion and candidate, and promote the candidate; one that is not better only when somebody says so.

    Raises InputError where nobody can be asked.
    """
    candidate, *champions = find_candidate(name, wanted, store, tracking)
    spec = f"models:/{name}@{CHAMPION}"
    if candidate in champions:
        typer.echo(f"{spec} is version {candidate.number} already")
        return
    typer.echo(f"champion of {name} now:" if champions else f"{name} has no champion yet")
    for champion in champions:
        _print(champion)
    typer.echo("candidate:")
    _print(candidate)
    doubt = "it was never evaluated" if not candidate.evaluations else ""
    for champion in champions:
        verdict = compare(champion, candidate, store)
        for change in verdict.changes:
            typer.echo(f"  {change}")
        typer.echo(f"version {candidate.number} against version {champion.number} is {verdict.line()}")
        doubt = "" if verdict.is_better else f"it is {verdict.line()}"
    if doubt and not yes:
        if not sys.stdin.isatty():
            raise InputError(
                f"version: {candidate.number} was not made champion of {name}: {doubt}; say --yes to do it"
            )
        if not typer.confirm(f"Make version {candidate.number} the champion all the same?"):
            typer.echo("nothing was moved")
            raise typer.Exit(1)
    promote(candidate, store, tracking, time.time())
    typer.echo(f"{spec} is version {candidate.number}")


def _print(version: ModelVersion) -> None:
    for line in version.lines():
        typer.echo(f"  {line}")
