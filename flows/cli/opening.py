"""What `latent open` does: open the page of a run or an artifact, or say where it is where nothing can open it."""

from __future__ import annotations

import sys
import tempfile
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError

from flows.parts.publish import show_where_to_look
from latent_core.config.runtime import TrackingConfig
from latent_core.errors import InputError
from latent_core.store import Artifact, ArtifactRef, ArtifactStore
from tasks.run.history import PastRun, find_run

_PAGES = ("report.html", "comparison.md", "table.md")


def open_page(word: str, store: ArtifactStore, only_print: bool) -> None:
    """Open what `word` names: a run's report, an artifact's page or folder. Raises InputError where it has none."""
    past = None if "/" in word else find_run(store, word)
    artifact = store.require(store.find(word) if past is None else _result(past))
    page = page_file(artifact)
    typer.echo(f"{'Report' if page.name in _PAGES else 'Folder'}:  {page}")
    if past is not None and past.link:
        typer.echo(f"MLflow:  {past.link}")
    elif past is not None:
        tracking = _tracking(past.config)
        if tracking is None:
            typer.echo("MLflow:  not known: the run's record has no section `tracking` that this release can read")
        else:
            show_where_to_look(tracking)
    if only_print or not sys.stdout.isatty():
        return
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        typer.echo("no browser is here; copy the file, or open it where one is")
        return
    browser.open(page.as_uri())


def page_file(artifact: Artifact) -> Path:
    """The artifact's page on local disk, or its folder where it has none; of a remote store a copy of the page.

    Raises InputError for an artifact of a remote store without a page.
    """
    name = next((one for one in _PAGES if any(item.path == one for item in artifact.manifest.content.files)), None)
    folder = artifact.store.local_path(artifact.manifest.folder)
    if folder is not None:
        return folder / name if name else folder
    if name is None:
        raise InputError(f"artifact: {artifact.ref} has no page, and {artifact.store.root} is no folder here")
    copy = Path(tempfile.mkdtemp(prefix="latent-")) / name
    copy.write_bytes(artifact.read_bytes(name))
    return copy


def _tracking(config: Mapping[str, Any]) -> TrackingConfig | None:
    """Where a run was tracked, of which only these fields matter; None where an old record says it in another way."""
    given = config.get("tracking") or {}
    if not isinstance(given, Mapping):
        return None
    try:
        return TrackingConfig.model_validate({name: given[name] for name in ("enabled", "uri") if name in given})
    except ValidationError:
        return None


def _result(past: PastRun) -> ArtifactRef:
    return past.require_result("has no result" + (f": {past.failure}" if past.failure else ""))
