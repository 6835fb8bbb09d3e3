"""Where a model comes from: the packaged one, SmolLM2, a local directory or the hub; its identity is its content."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from latent_core.atomic import atomic_file
from latent_core.errors import InputError
from latent_core.hub import failures, reason
from latent_core.identity import fingerprint, hash_tree

if TYPE_CHECKING:
    from latent_core.store import Artifact

EMBEDDED = {"latent-mini": "latent_mini", "latent-compressor": "latent_compressor"}
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
MODEL_STAGES = ("train", "build_dual", "grpo", "agent")
"""The stages whose artifacts are models."""
_KEPT = re.compile(rf"models:/.+|({'|'.join(MODEL_STAGES)})/[0-9a-f]{{1,64}}")
_IDENTITY_SUFFIXES = (".safetensors", ".json", ".jinja", ".model", ".txt")


@dataclass(frozen=True)
class ModelSource:
    """A model found: its local directory and the hash that stands for its content."""

    spec: str
    directory: Path
    fingerprint: str


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter's directory, its base, and the identity of the two together."""

    directory: Path
    base: ModelSource
    fingerprint: str


def cache_dir() -> Path:
    """Where converted models and downloaded artifacts are kept: LATENT_CACHE, or ~/.cache/latent."""
    return Path(os.environ.get("LATENT_CACHE", "~/.cache/latent")).expanduser()


def open_model(spec: str, field: str = "model") -> ModelSource:
    """Find a model: latent-mini, latent-compressor, smollm2, a directory, or a hub id `owner/name[@revision]`.

    A directory that holds a LoRA adapter is merged into the base that it names, once, in the cache.

    Raises InputError when nothing is found, naming the parameter (`field`) and what was tried.
    """
    if spec in EMBEDDED:
        directory = Path(str(files("latent_core") / "models" / "embedded" / EMBEDDED[spec]))
        return ModelSource(spec, directory, _content_of(directory, spec, field))
    if spec == "smollm2":
        from latent_core.models.smollm2 import CONVERTER_VERSION, SMOLLM2_SHA256, prepare_smollm2

        identity = fingerprint("smollm2", CONVERTER_VERSION, {"gguf": SMOLLM2_SHA256}, {})
        return ModelSource(spec, prepare_smollm2(cache_dir() / "smollm2"), identity)
    local = Path(spec).expanduser()
    if (adapter := find_adapter(spec, field)) is not None:
        return merged(spec, adapter)
    if local.is_dir():
        return ModelSource(spec, local, _content_of(local, spec, field))
    if _KEPT.fullmatch(spec):
        raise InputError(
            f"{field}: {spec!r} names a model of the store or of MLflow's registry, and this takes none; write it to a "
            f"folder with `latent export {spec} DIR` and give {field}=DIR"
        )
    if spec.count("/") != 1 or spec.startswith((".", "/", "~")):
        raise InputError(
            f"{field}: {spec!r} is neither a directory, a hub id owner/name, smollm2, nor one of {', '.join(EMBEDDED)}"
        )
    return _from_hub(spec, field)


def short_name(spec: str) -> str:
    """What a model is called in a title: a directory by the last part of its path, since pages are read elsewhere."""
    if spec in EMBEDDED or not (directory := Path(spec).expanduser()).is_dir():
        return spec
    return directory.resolve().name


def model_in(artifact: Artifact) -> Path:
    """The local directory of the model that a stage stored. Raises InputError for an artifact that holds none."""
    configs = [item.path for item in artifact.manifest.content.files if item.path.endswith("model/config.json")]
    if len(configs) != 1:
        raise InputError(f"model: {artifact.ref} does not hold a model; name a train, grpo or build_dual artifact")
    return artifact.directory(configs[0].removesuffix("/config.json"))


def find_adapter(
    spec: str, field: str = "model", open_base: Callable[[str, str], ModelSource] = open_model
) -> Adapter | None:
    """The adapter in the directory `spec`, None where there is none. Raises InputError when it names no base."""
    directory = Path(spec).expanduser()
    if spec in EMBEDDED or not (directory / ADAPTER_CONFIG).is_file():
        return None
    base_spec = json.loads((directory / ADAPTER_CONFIG).read_text(encoding="utf-8")).get("base_model_name_or_path")
    if not base_spec:
        raise InputError(
            f"{field}: the adapter {spec} names no base (base_model_name_or_path in {ADAPTER_CONFIG}); "
            "a train artifact holds the merged model beside it"
        )
    if not (directory / ADAPTER_WEIGHTS).is_file():
        raise InputError(f"{field}: the adapter {spec} has no {ADAPTER_WEIGHTS}; pickled weights are not read")
    base = open_base(str(base_spec), field)
    names = sorted(path for path in directory.iterdir() if path.suffix in _IDENTITY_SUFFIXES)
    parents = {"base": base.fingerprint, "adapter": hash_tree(directory, names)}
    return Adapter(directory, base, fingerprint("merged_adapter", 1, {}, parents))


def merged_directory(adapter: Adapter) -> Path:
    """Where `merged` writes the model."""
    return cache_dir() / "merged_adapters" / adapter.fingerprint


def merged(spec: str, adapter: Adapter) -> ModelSource:
    """The adapter's base with the adapter merged in, once."""
    target = merged_directory(adapter)
    if not target.is_dir():
        from latent_core.models.adapter import merge_adapter

        merge_adapter(adapter.base.directory, adapter.directory, target)
    return ModelSource(spec, target, adapter.fingerprint)


def _from_hub(spec: str, field: str) -> ModelSource:
    from huggingface_hub import snapshot_download

    name, _, revision = spec.partition("@")
    patterns = [f"*{suffix}" for suffix in _IDENTITY_SUFFIXES]
    try:
        directory = Path(snapshot_download(name, revision=revision or None, allow_patterns=patterns))
    except failures() as error:
        raise InputError(
            f"{field}: {spec!r} is not in the local hub cache and cannot be fetched ({reason(error)}); download it "
            "first, set HF_HUB_OFFLINE=0, or give a local directory"
        ) from error
    return ModelSource(spec, directory, fingerprint("hub_model", 1, {"id": name, "commit": directory.name}, {}))


def _content_of(directory: Path, spec: str, field: str) -> str:
    """Hash of the files that define a model, remembered by size and time so that a second look costs nothing."""
    names = sorted(path for path in directory.iterdir() if path.suffix in _IDENTITY_SUFFIXES)
    if not (directory / "config.json").is_file() or not any(path.suffix == ".safetensors" for path in names):
        where = repr(spec) if Path(spec) == directory else f"{spec} at {directory}"
        raise InputError(f"{field}: {where} needs config.json and at least one .safetensors file")
    stamp = {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in names}
    memo = cache_dir() / "model_hashes" / f"{_memo_name(directory)}.json"
    if memo.is_file():
        known = json.loads(memo.read_text())
        if known["stamp"] == stamp:
            return str(known["sha256"])
    _check_readable(field, directory / "config.json", [path for path in names if path.suffix == ".safetensors"])
    sha256 = hash_tree(directory, names)
    with suppress(OSError):  # a home that cannot be written costs time, not the run
        memo.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(memo) as partial:
            partial.write_text(json.dumps({"stamp": stamp, "sha256": sha256}))
    return sha256


def _check_readable(field: str, config: Path, weights: Sequence[Path]) -> None:
    """Raise InputError for a config that is no JSON object, and for weights that are damaged or cut short."""
    from safetensors import SafetensorError, safe_open

    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{field}: {config} is not valid JSON ({error}); restore the file") from error
    if not isinstance(settings, dict):
        raise InputError(f"{field}: {config} is no JSON object; restore the file")
    for path in weights:
        try:
            with safe_open(path, framework="np"):
                pass
        except SafetensorError as error:
            raise InputError(f"{field}: {path} is damaged or cut short ({error}); fetch it again") from error


def _memo_name(directory: Path) -> str:
    return fingerprint("model_directory", 1, {"path": str(directory.absolute())}, {})
