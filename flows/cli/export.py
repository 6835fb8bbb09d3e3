"""What `latent export` does: a model or a data set of the store as a folder for other programs, and for the Hub."""

from __future__ import annotations

from pathlib import Path

import typer

from flows.cli.tables import size
from latent_core.config.runtime import TrackingConfig
from latent_core.errors import InputError
from latent_core.export.folder import check_new
from latent_core.export.push import check_push, push_folder
from latent_core.export.rows import TableFormat
from latent_core.models.source import EMBEDDED
from latent_core.store import Artifact, ArtifactRef, ArtifactStore
from tasks.export.dataset import export_dataset
from tasks.export.model import Exported, export_model, export_source
from tasks.export.provenance import Provenance
from tasks.inputs import ModelInput
from tasks.run.history import find_run
from tasks.tracking.models import find_model

_FORMATS = {"jsonl": TableFormat.JSONL, "datasets": TableFormat.PARQUET}
_TRAINED = ("train/", "grpo/", "agent/")  # roles of a report


def export(
    what: str,
    target: Path,
    store: ArtifactStore,
    tracking: TrackingConfig,
    *,
    adapter: bool,
    kind: str | None,
    licence: str | None,
    push: str | None,
    public: bool,
) -> None:
    """Write `what` to the folder `target`, and push it where `push` names a repository. Bad input costs nothing."""
    check_new(target)
    if push is not None:
        check_push(push)
    elif public:
        raise InputError("--public: says who sees what is pushed; name the repository with --push")
    if kind is not None and kind not in _FORMATS:
        raise InputError(f"--format: {kind!r} is none of {', '.join(_FORMATS)}")
    found = _found(what, store, tracking)
    is_model = isinstance(found, ModelInput) or _holds_model(store.require(found))
    if is_model and kind is not None:
        raise InputError(f"--format: is for data sets, and {what} is a model; leave it out")
    if adapter and (not is_model or isinstance(found, ModelInput)):
        raise InputError(f"--adapter: is for trained models of the store, and {what} is none; leave it out")
    if licence is not None and isinstance(found, ModelInput):
        raise InputError(f"--license: {what} is copied as it is, its card too; leave it out")
    written = _write(found, target, store, adapter, _FORMATS[kind or "datasets"], licence)
    name = what if isinstance(found, ModelInput) else str(found)
    typer.echo(f"{name}: {written.files} files, {size(written.bytes)}, in {target}; README.md says how to use them")
    if push is not None:
        address = push_folder(
            target, push, "model" if is_model else "dataset", public=public, message=f"latent export {name}"
        )
        typer.echo(f"Pushed:  {address}")


def _write(
    found: ArtifactRef | ModelInput,
    target: Path,
    store: ArtifactStore,
    adapter: bool,
    kind: TableFormat,
    licence: str | None,
) -> Exported:
    if isinstance(found, ModelInput):
        return export_source(found, target)
    artifact, provenance = store.require(found), Provenance(store)
    if _holds_model(artifact):
        return export_model(artifact, target, provenance, adapter=adapter, licence=licence)
    return export_dataset(artifact, target, provenance, kind, licence=licence)


def _holds_model(artifact: Artifact) -> bool:
    return any(item.path.endswith("model/config.json") for item in artifact.manifest.content.files)


def _found(what: str, store: ArtifactStore, tracking: TrackingConfig) -> ArtifactRef | ModelInput:
    """What a user means: a registered model, a packaged one or a directory, an artifact, or the model of a run."""
    if what.startswith("models:/"):
        return find_model(what, store, tracking)
    if what in EMBEDDED or what == "smollm2" or Path(what).is_dir():
        return ModelInput.find(what, "WHAT")
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
