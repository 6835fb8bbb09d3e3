"""What stages are made from: artifacts, models, problems, files and compressors, and how a worker opens them.

A stage's inputs are a `NamedTuple` of these references. Each has a role, which is part of the stage's identity: its
field's name, unless the class has a method `roles` that says otherwise, as those have that hold several of a kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from latent_core.benchmarks.problem import ProblemSource
from latent_core.benchmarks.registry import open_split, word_problem_generator
from latent_core.chains import ChainSource, open_source
from latent_core.compress.choice import check_compressor, compressor_fingerprint
from latent_core.config.benchmark import BenchmarkConfig, Generator
from latent_core.config.chains import ChainsConfig
from latent_core.config.chat import DEFAULT_CHAT, ChatConfig
from latent_core.errors import InputError
from latent_core.identity import hash_file
from latent_core.models.chat import chat_model_fingerprint, find_chat_adapter, open_chat_model
from latent_core.models.source import Adapter, model_in
from latent_core.rl.environments import EnvironmentSpec, find_environment
from latent_core.store import Artifact, ArtifactRef, ArtifactStore

_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True)
class ModelInput:
    """A model that no stage made: packaged, local or from the hub; identified by its content and how it is read."""

    spec: str
    fingerprint: str
    chat: ChatConfig = DEFAULT_CHAT

    @classmethod
    def find(cls, spec: str, field: str = "model", *, chat: ChatConfig = DEFAULT_CHAT) -> ModelInput:
        """`field` is the parameter to name when there is no such model, `chat` says how its conversations are read.

        Raises InputError for settings that contradict the model, too.
        """
        return cls(spec, chat_model_fingerprint(spec, chat, field), chat)

    def open(self) -> Path:
        """The model's local directory."""
        source = open_chat_model(self.spec, self.chat)
        _check(source.fingerprint == self.fingerprint, f"model: {self.spec}")
        return source.directory

    def adapter(self) -> Adapter | None:
        """The LoRA adapter that the model is; None for a whole model."""
        adapter = find_chat_adapter(self.spec, self.chat)
        if adapter is not None:
            _check(adapter.fingerprint == self.fingerprint, f"model: {adapter.directory}")
        return adapter


@dataclass(frozen=True)
class ProblemsInput:
    """A benchmark's split, identified by its content."""

    config: BenchmarkConfig
    split: str
    fingerprint: str

    @classmethod
    def find(cls, config: BenchmarkConfig, split: str, asked: Mapping[str, int] = _NOTHING) -> ProblemsInput:
        """`asked`: how many problems the run needs, by parameter; raises InputError where the split has fewer."""
        source = open_split(config, split)
        for parameter, questions in asked.items():
            source.check_count(parameter, questions)
        return cls(config, split, source.fingerprint)

    @classmethod
    def generator(cls, split: str, edition: Generator) -> ProblemsInput:
        """An edition of the word-problem generator as such, for stages that say themselves which difficulties they
        draw."""
        return cls(BenchmarkConfig(generator=edition), split, word_problem_generator(split, edition))

    def open(self) -> ProblemSource:
        source = open_split(self.config, self.split)
        _check(source.fingerprint == self.fingerprint, f"benchmark: {self.config.name}")
        return source


@dataclass(frozen=True)
class FileInput:
    """A file that a user names, identified by its content."""

    path: str
    fingerprint: str

    @classmethod
    def find(cls, field: str, path: str) -> FileInput:
        """`field` is the parameter to name when there is no such file."""
        if not Path(path).is_file():
            raise InputError(f"{field}: no such file {path}")
        return cls(path, hash_file(Path(path)))

    def open(self) -> Path:
        _check(hash_file(Path(self.path)) == self.fingerprint, self.path)
        return Path(self.path)


@dataclass(frozen=True)
class ChainsInput:
    """A table of chains of thought that somebody else has written, identified by its content."""

    source: str
    config: ChainsConfig
    fingerprint: str

    @classmethod
    def find(cls, source: str, config: ChainsConfig) -> tuple[ChainsInput, ChainSource]:
        """The input, and what it was found to hold; raises InputError as `open_source` does."""
        found = open_source(source, config)
        return cls(source, config, found.fingerprint), found

    def open(self) -> ChainSource:
        found = open_source(self.source, self.config)
        _check(found.fingerprint == self.fingerprint, f"collect.source: {self.source}")
        return found


@dataclass(frozen=True)
class CompressorInput:
    """What scores words: a token classifier, identified by its content, or a baseline, by its settings."""

    spec: str
    fingerprint: str

    @classmethod
    def find(cls, spec: str) -> CompressorInput:
        check_compressor(spec)
        return cls(spec, compressor_fingerprint(spec))

    def open(self) -> str:
        """What `open_compressor` takes."""
        _check(compressor_fingerprint(self.spec) == self.fingerprint, f"compressor: {self.spec}")
        return self.spec


@dataclass(frozen=True)
class EnvironmentInput:
    """What an agent acts in, identified by its name, its version and the files it reads."""

    name: str
    fingerprint: str

    @classmethod
    def find(cls, name: str) -> EnvironmentInput:
        """Raises InputError for a name that is not there, with the nearest ones."""
        return cls(name, find_environment(name).fingerprint)

    def open(self) -> EnvironmentSpec:
        spec = find_environment(self.name)
        _check(spec.fingerprint == self.fingerprint, f"environment: {self.name}")
        return spec


def _check(is_unchanged: bool, what: str) -> None:
    if not is_unchanged:
        raise InputError(f"{what} changed on disk since the run was planned; start the run again")


Input = ArtifactRef | ModelInput | ProblemsInput | FileInput | ChainsInput | CompressorInput | EnvironmentInput
Model = ArtifactRef | ModelInput
Compressor = ArtifactRef | CompressorInput


@runtime_checkable
class HasRoles(Protocol):
    """Inputs that say under which roles they are hashed."""

    def roles(self) -> dict[str, Input]: ...


def roles_of(inputs: tuple[Any, ...]) -> dict[str, Input]:
    """The inputs of a stage by role, without those that are None."""
    if isinstance(inputs, HasRoles):
        return inputs.roles()
    fields: dict[str, Input | None] = inputs._asdict()  # type: ignore[attr-defined]
    return {role: item for role, item in fields.items() if item is not None}


def numbered(prefix: str, items: tuple[Input, ...]) -> dict[str, Input]:
    """Roles for any number of inputs of a kind: PREFIX_0, PREFIX_1 and so on."""
    return {f"{prefix}_{index}": item for index, item in enumerate(items)}


@dataclass(frozen=True)
class Opener:
    """Opens, where a stage runs, the inputs that a stage may have made."""

    store: ArtifactStore

    def artifact(self, ref: ArtifactRef) -> Artifact:
        """The artifact, which the run has hashed; raises DamagedError or FileNotFoundError when it is not whole."""
        return self.store.require(ref).trusted()

    def model_dir(self, model: Model) -> Path:
        """The local directory of a model."""
        return model.open() if isinstance(model, ModelInput) else model_in(self.artifact(model))

    def adapter(self, model: Model) -> Adapter | None:
        """The LoRA adapter that a model is, for an engine that serves it beside its base; None for a whole model."""
        return model.adapter() if isinstance(model, ModelInput) else None

    def compressor_spec(self, compressor: Compressor) -> str:
        """What names a compressor for `open_compressor`: a parameter's value, or the directory of one trained here."""
        return compressor.open() if isinstance(compressor, CompressorInput) else str(self.model_dir(compressor))
