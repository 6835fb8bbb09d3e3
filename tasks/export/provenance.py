"""Where an artifact came from, as a card tells it: its ancestors, the base model, and what the inputs were called.

Fingerprints come from manifests. Names come from manifests' records and from the runs of the store, since a fingerprint
does not hold them. Local paths are never told, only their last part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from latent_core.benchmarks.registry import hub_of
from latent_core.config.chat import ChatConfig
from latent_core.errors import InputError
from latent_core.export.model_card import Base, Origin, Result
from latent_core.models.licence import licence_of
from latent_core.models.source import EMBEDDED, short_name
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, Manifest, Reference
from tasks.inputs import ModelInput
from tasks.run.history import past_runs
from tasks.tracking.versions import Library

_SHARD = "_shard"
_HUB = re.compile(r"\w[\w.-]*/\w[\w.-]*")  # what is no such name is a directory, here or not


class Provenance:
    """What a store knows of the origin of its artifacts."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self.library = Library(store)

    def run_of(self, ref: ArtifactRef) -> Mapping[str, Any]:
        """The parameters of the run that made an artifact, by its journal, or by a record and its report."""
        return self.library.run_of(ref) or self._recorded.get(ref.fingerprint, {})

    @cached_property
    def _recorded(self) -> Mapping[str, Mapping[str, Any]]:
        """The parameters of the first run that left a record and whose result has this parent, by its fingerprint."""
        found: dict[str, Mapping[str, Any]] = {}
        for past in reversed(past_runs(self._store)):
            result = None if past.result is None else self._store.get(past.result.stage, past.result.fingerprint)
            if result is not None:
                for parent in result.manifest.content.parents.values():
                    found.setdefault(parent.fingerprint, past.config)
        return found

    def label_of(self, ref: ArtifactRef) -> str:
        return self.library.label_of(ref)

    def lineage(self, artifact: Artifact) -> list[Origin]:
        """The artifact and all that it was made from, nearest first and inputs last, each once."""
        found: dict[str, Origin] = {}
        queue = [artifact.manifest]
        while queue:
            manifest = queue.pop(0)
            if manifest.content.fingerprint in found:
                continue
            found[manifest.content.fingerprint] = _made(manifest)
            for name, parent in self._parents(manifest):
                if parent.fingerprint in found:
                    continue
                if parent.ref is None:
                    found[parent.fingerprint] = Origin(None, parent.fingerprint, name)
                elif (kept := self._kept(parent.ref)) is None:
                    found[parent.fingerprint] = Origin(parent.stage, parent.fingerprint, made="not in the store now")
                else:
                    queue.append(kept)
        return sorted(found.values(), key=lambda origin: origin.stage is None)

    def _parents(self, manifest: Manifest) -> Iterator[tuple[str, Reference]]:
        """What an artifact was made from, with a name: a benchmark's, else the role. Of shards the first tells all."""
        benchmarks = manifest.record.get("benchmarks", {})
        parents = manifest.content.parents
        for role, parent in sorted(parents.items()):
            if not (parent.stage or "").endswith(_SHARD):
                yield _benchmark(benchmarks[role]) if role in benchmarks else role, parent
        first = next((parent.ref for parent in parents.values() if (parent.stage or "").endswith(_SHARD)), None)
        if first is not None and (shard := self._kept(first)) is not None:
            yield from self._parents(shard)

    def _kept(self, ref: ArtifactRef) -> Manifest | None:
        found = self._store.get(ref.stage, ref.fingerprint)
        return None if found is None else found.manifest

    def root_of(self, artifact: Artifact) -> tuple[Artifact, str | None]:
        """The earliest artifact that a model goes back to, and the fingerprint of the outside model that it took."""
        while (parent := artifact.manifest.content.parents.get("model")) is not None:
            if parent.ref is None:
                return artifact, parent.fingerprint
            found = self._store.get(parent.ref.stage, parent.ref.fingerprint)
            if found is None:
                return artifact, None
            artifact = found
        return artifact, None

    def base_of(self, artifact: Artifact) -> tuple[Base, Path | None] | None:
        """The outside model that all training began with, and its directory where that is here and still the same.

        None for a model that began with no other, or whose beginning the store does not have any more.
        """
        root, fingerprint = self.root_of(artifact)
        if fingerprint is None:
            return None
        run = self.run_of(root.ref)
        spec = run.get("model")
        if not isinstance(spec, str) or not spec:
            return Base("a model whose name the store does not know", fingerprint), None
        directory = _directory_of(spec, run, fingerprint)
        is_hub = spec not in EMBEDDED and spec != "smollm2" and not Path(spec).expanduser().is_dir()
        hub, _, revision = spec.partition("@")
        note = "" if directory else "as its run named it; it is not here, or has changed since"
        licence = licence_of(spec, directory)
        if is_hub and _HUB.fullmatch(hub):
            return Base(spec, fingerprint, hub, revision or None, licence, note), directory
        return Base(Path(short_name(spec)).name, fingerprint, licence=licence, note=note), directory

    def results_of(self, fingerprint: str) -> list[Result]:
        """The evaluations of a model in the store."""
        found = []
        for one in self.library.evaluations(fingerprint):
            manifest = self._store.require(one.ref).manifest
            identity = manifest.content.identity
            told = manifest.record.get("benchmarks", {}).get("problems") or self.run_of(one.ref).get("benchmark")
            found.append(
                Result(
                    one.condition,
                    _benchmark(told) if told else one.benchmark,
                    one.questions,
                    one.accuracy,
                    one.reasoning_tokens,
                    one.total_tokens,
                    _asked(identity),
                    str(one.ref),
                )
            )
        return found


def datasets_of(lineage: Sequence[Origin]) -> list[str]:
    """The Hub's ids of the benchmarks among the inputs."""
    found = (hub_of(origin.name) for origin in lineage if origin.stage is None)
    return sorted({hub for hub in found if hub is not None})


def made_with(manifest: Manifest) -> str:
    """When, for how long, on what and with which versions an artifact was made, in a sentence."""
    record = manifest.record
    versions = {name: text for name, text in record.get("environment", {}).items() if name not in ("commit", "machine")}
    told = ", ".join(f"{name} {text}" for name, text in sorted(versions.items()))
    device = f" on {record['device']}" if record.get("device") else ""
    return f"Made in {record['seconds'] / 60:.1f} minutes{device}, with {told}." if told else ""


def _benchmark(told: Mapping[str, Any]) -> str:
    """Its name; a local file may hold anything, and its path is nobody's business."""
    is_local = any(told.get(name) for name in ("train_path", "test_path"))
    return f"{told.get('name')} from a local file" if is_local else str(told.get("name"))


def _made(manifest: Manifest) -> Origin:
    content, record = manifest.content, manifest.record
    date = f"{datetime.fromtimestamp(record['started']):%Y-%m-%d}" if "started" in record else ""
    commit = str(record.get("environment", {}).get("commit", ""))
    return Origin(content.stage, content.fingerprint, version=content.stage_version, made=date, commit=commit)


def _directory_of(spec: str, run: Mapping[str, Any], fingerprint: str) -> Path | None:
    try:
        model = ModelInput.find(spec, chat=ChatConfig.model_validate(run.get("chat") or {}))
        return model.open() if model.fingerprint == fingerprint else None
    except (InputError, OSError):
        return None


def _asked(identity: Mapping[str, Any]) -> str:
    """How an evaluation was sampled: greedy, 4 samples at temperature 0.7, noise date."""
    sampling = identity["sampling"]
    words = ["greedy"]
    if sampling["temperature"]:
        samples = sampling["samples"]
        words = [f"{samples} sample{'s' if samples > 1 else ''} at temperature {sampling['temperature']:g}"]
    if "text_format" in identity:
        words.append(str(identity["text_format"]))
    if identity.get("noise"):
        words.append(f"noise {identity['noise']}")
    return ", ".join(words)
