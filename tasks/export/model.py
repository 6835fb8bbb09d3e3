"""A model of the store, or a packaged one, as a folder that stock libraries load, with its card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from latent_core.errors import InputError
from latent_core.export.folder import new_folder
from latent_core.export.model_card import Base, ModelCard
from latent_core.export.usage import Usage, ratios_below_one
from latent_core.models.licence import licence_files
from latent_core.models.readable import ReadableModel
from latent_core.models.source import ADAPTER_CONFIG, EMBEDDED, model_in
from latent_core.store import Artifact
from tasks.export.provenance import Provenance, datasets_of, made_with
from tasks.inputs import ModelInput

CARD = "README.md"
_WEIGHTS = (".safetensors", ".safetensors.index.json")
_OF_WHOLE_MODELS = ("config.json", "generation_config.json")
_MOST_NEW_TOKENS = 512  # that the code in a card lets a model write where no evaluation tells
_WAYS = {
    "train": "fine-tuned",
    "grpo": "trained by reinforcement learning",
    "agent": "trained by reinforcement learning in an environment",
    "train_compressor": "trained to tell which words of a chain of thought can go",
    "build_dual": "with a dual vocabulary, before any training",
    "build_ratio_tokens": "with tokens for ratios, before any training",
}


class Exported(NamedTuple):
    """What was written."""

    files: int
    bytes: int


def export_model(
    artifact: Artifact, target: Path, provenance: Provenance, *, adapter: bool = False, licence: str | None = None
) -> Exported:
    """Write a stored model to the new folder `target`; with `adapter` its LoRA adapter instead of the merged model.

    Files are copied as the store has them, so that no weight is rounded. `licence` is what the card says instead of
    what the base's files tell. Raises InputError for an artifact without a model or adapter, and a folder that is not
    empty.
    """
    source = model_in(artifact)
    weights = _adapter_in(artifact) if adapter else None
    found = provenance.base_of(artifact)
    base, base_files = found if found is not None else (None, None)
    with new_folder(target) as folder:
        for path in sorted(source.iterdir()):
            is_whole = path.name.endswith(_WEIGHTS) or path.name in _OF_WHOLE_MODELS
            if path.is_file() and path.name != CARD and not (adapter and is_whole):
                shutil.copyfile(path, folder / path.name)
        for path in licence_files(base_files) if base_files is not None else ():
            shutil.copyfile(path, folder / path.name)
        if weights is not None:
            # What an adapter is loaded on is its parent, which is the base only where no stage made it.
            parent = artifact.manifest.content.parents["model"]
            _copy_adapter(weights, folder, base if parent.ref is None else None)
        card = _card(artifact, target.absolute().name, provenance, source, base, adapter, licence)
        (folder / CARD).write_text(card.text(), encoding="utf-8")
        return counted(folder)


def export_source(model: ModelInput, target: Path) -> Exported:
    """Write a model that no stage made, such as a packaged one, to the new folder `target`: its files as they are.

    Hidden files are left out: none is a model's, and some hold secrets.
    """
    source = model.open()
    with new_folder(target) as folder:
        for path in sorted(source.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                shutil.copyfile(path, folder / path.name)
        return counted(folder)


def _adapter_in(artifact: Artifact) -> Path:
    configs = [item.path for item in artifact.manifest.content.files if item.path.endswith(f"adapter/{ADAPTER_CONFIG}")]
    if len(configs) != 1:
        raise InputError(f"--adapter: {artifact.ref} holds no adapter: all of its weights were trained; use --merged")
    return artifact.directory(configs[0].removesuffix(f"/{ADAPTER_CONFIG}"))


def _copy_adapter(weights: Path, folder: Path, base: Base | None) -> None:
    """The adapter's files; where its base is on the Hub the settings name it, so that PEFT finds it by itself."""
    for path in sorted(weights.iterdir()):
        if path.is_file() and path.name != CARD:
            shutil.copyfile(path, folder / path.name)
    if base is not None and base.hub is not None:
        settings = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        settings |= {"base_model_name_or_path": base.hub, "revision": base.revision}
        (folder / ADAPTER_CONFIG).write_text(json.dumps(settings, indent=2, sort_keys=True), encoding="utf-8")


def _card(
    artifact: Artifact,
    title: str,
    provenance: Provenance,
    source: Path,
    base: Base | None,
    adapter: bool,
    licence: str | None,
) -> ModelCard:
    content = artifact.manifest.content
    results = provenance.results_of(content.fingerprint)
    usage = None
    if not _classifies(source):
        usage = Usage(ReadableModel.load(source), *_asked_as(artifact, provenance))
    lineage = provenance.lineage(artifact)
    return ModelCard(
        title,
        _summary(artifact, provenance, usage, base),
        usage,
        adapter,
        base=base,
        adapter_of=_adapter_base(artifact, base) if adapter else ("", ""),
        results=results,
        origins=lineage,
        datasets=datasets_of(lineage),
        settings=content.identity,
        made_with=made_with(artifact.manifest),
        licence=licence or (base.licence if base is not None else None),
    )


def _classifies(source: Path) -> bool:
    """Whether a model is a token classifier, such as a compressor."""
    kinds = json.loads((source / "config.json").read_text(encoding="utf-8")).get("architectures") or []
    return any(str(kind).endswith("ForTokenClassification") for kind in kinds)


def _asked_as(artifact: Artifact, provenance: Provenance) -> tuple[tuple[float, ...], int]:
    """The ratios that a model was trained or evaluated at, and how many tokens evaluations let it write."""
    store = artifact.store
    asked = [
        store.require(one.ref).manifest.content.identity
        for one in provenance.library.evaluations(artifact.ref.fingerprint)
    ]
    asked = [identity for identity in asked if identity["prompting"] == "ratio"]
    trained: list[Any] = []
    for parent in artifact.manifest.content.parents.values():
        kept = None if parent.ref is None else store.get(parent.ref.stage, parent.ref.fingerprint)
        trained += [] if kept is None else kept.manifest.content.identity.get("ratios") or []
    ratios = ratios_below_one(trained, [identity["ratio"] for identity in asked])
    return ratios, max((identity["sampling"]["max_new_tokens"] for identity in asked), default=_MOST_NEW_TOKENS)


def _summary(artifact: Artifact, provenance: Provenance, usage: Usage | None, base: Base | None) -> str:
    stage = artifact.ref.stage
    way = _WAYS.get(stage, f"made by the stage `{stage}`")
    words = [f"{base.name if base else 'A model'}, {way}."]
    if usage is not None and usage.is_dual:
        words.append("It reasons in latent ids of a vocabulary of their own.")
    if usage is not None and usage.ratios:
        shown = ", ".join(f"{ratio:g}" for ratio in usage.ratios)
        words.append(
            f"Asked for a ratio ({shown}) it writes that share of its reasoning (TokenSkip, [arXiv 2502.12067]"
            "(https://arxiv.org/abs/2502.12067))."
        )
    label = provenance.label_of(artifact.ref)
    words.append(f"Artifact `{artifact.ref}`{f', called {label} in its run' if label else ''}.")
    return " ".join(words)


def _adapter_base(artifact: Artifact, base: Base | None) -> tuple[str, str]:
    """What an adapter has to be loaded on: what code calls it, and a sentence about how to get it."""
    parent = artifact.manifest.content.parents["model"]
    if parent.ref is not None:
        told = f"`latent export {parent.ref} BASE`, from the same store"
        return "BASE", f"It is an adapter of the model that this writes: {told}."
    if base is not None and base.hub is not None:
        return base.hub, f"It is an adapter of `{base.hub}`" + (
            f", revision `{base.revision}`." if base.revision else "."
        )
    if base is not None and base.name in (*EMBEDDED, "smollm2"):
        return "BASE", f"It is an adapter of the model that this writes: `latent export {base.name} BASE`."
    return "BASE", f"It is an adapter of {base.name if base else 'another model'}, content `{parent.fingerprint}`."


def counted(folder: Path) -> Exported:
    """How much a folder holds."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return Exported(len(files), sum(path.stat().st_size for path in files))
