"""What `latent export` does: a model or a data set of the store as a folder for other programs, and for the Hub."""

from __future__ import annotations

from pathlib import Path

import typer

from flows.cli.artifacts import open_store
from flows.cli.tables import size
from latent_core.config.runtime import TrackingConfig
from latent_core.errors import InputError
from latent_core.export.folder import check_new
from latent_core.export.push import check_push, push_folder
from latent_core.export.rows import TableFormat
from latent_core.models.source import EMBEDDED
from latent_core.store import Artifact, ArtifactRef, ArtifactStore
from tasks.export.dataset import export_dataset
from tasks.export.model import export_model, export_source
from tasks.export.provenance import Provenance
from tasks.inputs import ModelInput
from tasks.run.history import find_run
from tasks.tracking.models import find_registered

_FORMATS = {"jsonl": TableFormat.JSONL, "datasets": TableFormat.PARQUET}
_TRAINED = ("train/", "grpo/", "agent/")  # roles of a report


def export(
    what: str,
    target: Path,
    root: str,
    tracking: TrackingConfig,
    *,
    adapter: bool,
    kind: str | None,
    licence: str | None,
    push: str | None,
    public: bool,
) -> None:
    """Write `what` to the folder `target`, and push it where `push` names a repository. Bad input costs nothing.

    `root` is where the store lies; a packaged model and a directory need none.
    """
    check_new(target)
    if push is not None:
        check_push(push)
    elif public:
        raise InputError("--public: says who sees what is pushed; name the repository with --push")
    if kind is not None and kind not in _FORMATS:
        raise InputError(f"--format: {kind!r} is none of {', '.join(_FORMATS)}")
    if what in EMBEDDED or what == "smollm2" or Path(what).is_dir():
        if licence is not None:
            raise InputError(f"--license: {what} is copied as it is, its card too; leave it out")
        _check_options(what, adapter, kind, is_model=True, is_trained=False)
        name, is_model, written = _named(what), True, export_source(ModelInput.find(what, "WHAT"), target)
    else:
        store = open_store(root)
        artifact = store.require(_found(what, store, tracking))
        is_model = _holds_model(artifact)
        _check_options(what, adapter, kind, is_model=is_model, is_trained=is_model)
        provenance = Provenance(store)
        if is_model:
            written = export_model(artifact, target, provenance, adapter=adapter, licence=licence)
        else:
            written = export_dataset(artifact, target, provenance, _FORMATS[kind or "datasets"], licence=licence)
        name = str(artifact.ref)
    typer.echo(f"{name}: {written.files} files, {size(written.bytes)}, in {target}; README.md says how to use them")
    if push is not None:
        repository = "model" if is_model else "dataset"
        address = push_folder(target, push, repository, public=public, message=f"latent export {name}")
        typer.echo(f"Pushed:  {address}")


def _named(what: str) -> str:
    """A packaged name, or the last part of a directory's path: it is pushed as a message, for others to read."""
    return what if what in EMBEDDED else Path(what).resolve().name


def _check_options(what: str, adapter: bool, kind: str | None, *, is_model: bool, is_trained: bool) -> None:
    """Raise InputError for an option that is for something else than `what`."""
    if is_model and kind is not None:
        raise InputError(f"--format: is for data sets, and {what} is a model; leave it out")
    if adapter and not is_trained:
        raise InputError(f"--adapter: is for trained models of the store, and {what} is none; leave it out")


def _holds_model(artifact: Artifact) -> bool:
    return any(item.path.endswith("model/config.json") for item in artifact.manifest.content.files)


def _found(what: str, store: ArtifactStore, tracking: TrackingConfig) -> ArtifactRef:
    """What a user means: a registered model, an artifact, or the model of a run."""
    if what.startswith("models:/"):
        return find_registered(what, store, tracking)
    return store.find(what) if "/" in what else _model_of_run(what, store)


def _model_of_run(word: str, store: ArtifactStore) -> ArtifactRef:
    past = find_run(store, word)
    result = store.require(past.require_result("has no result to export"))
    if _holds_model(result):
        return result.ref
    parents = result.manifest.content.parents
    trained = {role: parent.ref for role, parent in parents.items() if role.startswith(_TRAINED) and parent.ref}
    if len(trained) != 1:
        names = "; ".join(f"{ref} ({role.partition('/')[2]})" for role, ref in sorted(trained.items()))
        raise InputError(f"WHAT: the run {past.short} trained {len(trained)} models, name one: {names or 'none'}")
    return next(iter(trained.values()))
