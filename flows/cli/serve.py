"""What `latent serve` does: find the model as `latent eval` does, print vLLM's command, and become it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import typer

from latent_core.config.chat import ChatConfig, Thinking
from latent_core.config.runtime import TrackingConfig
from latent_core.errors import InputError
from latent_core.generate.vllm_engine import lora_rank
from latent_core.generate.vllm_server import Device, ServedModel, device_here, require_vllm, server_command
from latent_core.models.source import Adapter, merged, merged_directory, model_in, short_name
from latent_core.store import ArtifactRef, ArtifactStore
from tasks.tracking.models import find_model


def serve_model(
    spec: str,
    flags: Sequence[str],
    host: str,
    port: int,
    name: str | None,
    device: str,
    store: str,
    thinking: str,
    dry_run: bool,
) -> None:
    """Print the command that serves a model and, without `dry_run`, run it in place of this process.

    Raises InputError for a model that cannot be found or served, and without vLLM.
    """
    if thinking not in list(Thinking):
        raise InputError(f"--thinking: is {thinking!r}; choose one of {', '.join(Thinking)}")
    if not dry_run:
        require_vllm()
    chat = ChatConfig(thinking=Thinking(thinking))
    model = _found(spec, name or short_name(spec), ArtifactStore(store), chat, dry_run)
    command = server_command(model, host, port, _device(device), flags)
    for note in command.notes:
        typer.secho(f"note: {note}", fg="yellow", err=True)
    typer.echo(command.line())
    if not dry_run:
        command.replace_process()


def _device(word: str) -> Device:
    if word == "auto":
        return device_here()
    for device in get_args(Device):
        if word == device:
            return device  # type: ignore[no-any-return]
    raise InputError(f"--device: is {word!r}; choose auto, {' or '.join(get_args(Device))}")


def _found(spec: str, name: str, store: ArtifactStore, chat: ChatConfig, dry_run: bool) -> ServedModel:
    """The model as vLLM takes it: an adapter beside its base where it can, else merged; never merged by a dry run."""
    found = find_model(spec, store, TrackingConfig(), chat)
    if isinstance(found, ArtifactRef):
        directory = model_in(store.require(found))
        return ServedModel(name, directory, directory)
    adapter = found.adapter()
    if adapter is None:
        directory = found.open()
        return ServedModel(name, directory, directory)
    base = adapter.base
    if not _is_servable(adapter):
        directory = merged_directory(adapter) if dry_run else merged(spec, adapter).directory
        return ServedModel(name, directory, base.directory)
    base_name = short_name(base.spec)
    if base_name == name:
        base_name = f"{base_name}-base"
    return ServedModel(name, base.directory, base.directory, adapter.directory, base_name)


def _is_servable(adapter: Adapter) -> bool:
    try:
        lora_rank(adapter.directory)
    except InputError as error:
        typer.secho(f"note: the adapter is merged: {error}", fg="yellow", err=True)
        return False
    return True
