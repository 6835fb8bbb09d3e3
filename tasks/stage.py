"""What a stage is: a name, a version, and one function from inputs to an artifact. Its identity follows from these."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from latent_core.benchmarks.problem import ProblemSource
from latent_core.benchmarks.registry import open_split, word_problem_generator
from latent_core.compress.choice import check_compressor, compressor_fingerprint
from latent_core.config.base import StageConfig
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.chat import DEFAULT_CHAT, ChatConfig
from latent_core.errors import InputError
from latent_core.identity import fingerprint, hash_file
from latent_core.models.chat import chat_model_fingerprint, find_chat_adapter, open_chat_model
from latent_core.models.source import Adapter, model_in
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, ArtifactWriter, Reference
from latent_core.store.lease import LeaseTerms, held
from tasks.environment import environment
from tasks.workers.deaths import end_process

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


@dataclass(frozen=True)
class ProblemsInput:
    """A benchmark's split, identified by its content."""

    config: BenchmarkConfig
    split: str
    fingerprint: str

    @classmethod
    def find(cls, config: BenchmarkConfig, split: str, asked: Mapping[str, int] = _NOTHING) -> ProblemsInput:
        """`asked` says by parameter how many problems a run will want; raises InputError where the split has fewer."""
        source = open_split(config, split)
        for parameter, questions in asked.items():
            source.check_count(parameter, questions)
        return cls(config, split, source.fingerprint)

    @classmethod
    def generator(cls, split: str) -> ProblemsInput:
        """The word-problem generator as such, for stages whose own configuration says which difficulties they draw."""
        return cls(BenchmarkConfig(), split, word_problem_generator(split))


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


@dataclass(frozen=True)
class CompressorInput:
    """What scores words: a token classifier, identified by its content, or a baseline, by its settings."""

    spec: str
    fingerprint: str

    @classmethod
    def find(cls, spec: str) -> CompressorInput:
        check_compressor(spec)
        return cls(spec, compressor_fingerprint(spec))


Parent = ArtifactRef | ModelInput | ProblemsInput | FileInput | CompressorInput


@dataclass(frozen=True)
class Outcome:
    """What a stage reports about the rows it saw. `record` holds what may differ between equal results (rates)."""

    accounting: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Workplace:
    """What the machine lends a stage: a folder that survives a killed attempt, and a way to show progress."""

    scratch: Path
    progress: Callable[[int, int, int], None]  # (items done, items in all, tokens so far)


class Inputs:
    """A stage's parents by role, opened where the stage runs."""

    def __init__(self, store: ArtifactStore, parents: Mapping[str, Parent]) -> None:
        self.store = store
        self._parents = parents

    def roles(self) -> list[str]:
        return list(self._parents)

    def artifact(self, role: str) -> Artifact:
        """The parent, which the run has hashed; raises DamagedError or FileNotFoundError when it is not whole."""
        parent = self._parents[role]
        if not isinstance(parent, ArtifactRef):
            raise InputError(f"{role}: expected an artifact, got {parent}")
        return self.store.require(parent).trusted()

    def fingerprint(self, role: str) -> str:
        return self._parents[role].fingerprint

    def model_dir(self, role: str) -> Path:
        """The local directory of a model, whether a stage made it or it came from outside."""
        parent = self._parents[role]
        if isinstance(parent, ModelInput):
            source = open_chat_model(parent.spec, parent.chat)
            if source.fingerprint != parent.fingerprint:
                raise InputError(f"model: {parent.spec} changed on disk since the run was planned; start the run again")
            return source.directory
        return model_in(self.artifact(role))

    def adapter(self, role: str) -> Adapter | None:
        """The LoRA adapter that a model is, for an engine that serves it beside its base; None for a whole model."""
        parent = self._parents[role]
        adapter = find_chat_adapter(parent.spec, parent.chat) if isinstance(parent, ModelInput) else None
        if adapter is not None and adapter.fingerprint != parent.fingerprint:
            raise InputError(f"model: {adapter.directory} changed on disk since the run was planned; start again")
        return adapter

    def compressor_spec(self, role: str) -> str:
        """What names a compressor for `open_compressor`: a parameter's value, or the directory of one trained here."""
        parent = self._parents[role]
        if isinstance(parent, ArtifactRef):
            return str(self.model_dir(role))
        if not isinstance(parent, CompressorInput):
            raise InputError(f"{role}: expected a compressor, got {parent}")
        if compressor_fingerprint(parent.spec) != parent.fingerprint:
            raise InputError(f"{role}: {parent.spec} changed on disk since the run was planned; start the run again")
        return parent.spec

    def file(self, role: str) -> Path:
        parent = self._parents[role]
        if not isinstance(parent, FileInput):
            raise InputError(f"{role}: expected a file, got {parent}")
        if hash_file(Path(parent.path)) != parent.fingerprint:
            raise InputError(f"{role}: {parent.path} changed on disk since the run was planned; start the run again")
        return Path(parent.path)

    def problems(self, role: str) -> ProblemSource:
        parent = self._parents[role]
        if not isinstance(parent, ProblemsInput):
            raise InputError(f"{role}: expected a benchmark, got {parent}")
        source = open_split(parent.config, parent.split)
        if source.fingerprint != parent.fingerprint:
            raise InputError(f"benchmark: {parent.config.name} changed on disk since the run was planned; start again")
        return source


Body = Callable[[ArtifactWriter, Inputs, Any, Workplace], Outcome]


@dataclass(frozen=True)
class Stage:
    """`version` is raised when the stage's output changes for the same inputs; a golden test guards it.

    `is_shown`: others than stages read its files (a table, a page, the model registry), so that a run hashes them.
    """

    name: str
    version: int
    body: Body
    is_shown: bool = False

    def call(
        self, config: StageConfig, parents: Mapping[str, Parent], label: str = "", rows: int | None = None
    ) -> StageCall:
        hashes = {role: parent.fingerprint for role, parent in parents.items()}
        address = ArtifactRef(self.name, fingerprint(self.name, self.version, config, hashes))
        return StageCall(self, config, dict(parents), address, label, rows)


@dataclass(frozen=True)
class StageCall:
    """A stage applied to its parameters and parents: everything a worker needs, and the address of the result."""

    stage: Stage
    config: StageConfig
    parents: dict[str, Parent]
    ref: ArtifactRef
    label: str = ""
    expected_rows: int | None = None

    @property
    def title(self) -> str:
        return f"{self.stage.name} {self.label}".strip()


def perform(call: StageCall, store: ArtifactStore, workplace: Workplace, terms: LeaseTerms | None = None) -> Artifact:
    """Compute a stage and commit its artifact.

    With terms of a lease: what another run committed in the meantime is returned as it is, HeldError is raised while
    another run is computing it, and a lease that is lost on the way ends this process.
    """
    if terms is None:
        return _compute(call, store, workplace, lambda: None)
    with held(store, call.ref, terms, end_process) as confirm:
        return store.get(call.ref.stage, call.ref.fingerprint) or _compute(call, store, workplace, confirm)


def _record_of(call: StageCall) -> dict[str, Any]:
    """What computed it, with which parameters (the runtime ones too), on which benchmarks."""
    problems = {role: parent for role, parent in call.parents.items() if isinstance(parent, ProblemsInput)}
    return {
        "environment": environment(),
        "process": os.getpid(),
        "parameters": call.config.model_dump(mode="json"),
        "benchmarks": {role: parent.config.model_dump(mode="json") for role, parent in problems.items()},
    }


def _reference(parent: Parent) -> Reference:
    return Reference(parent.stage if isinstance(parent, ArtifactRef) else None, parent.fingerprint)


def _compute(call: StageCall, store: ArtifactStore, workplace: Workplace, confirm: Callable[[], None]) -> Artifact:
    with store.begin(call.ref.stage, call.ref.fingerprint) as out:
        outcome = call.stage.body(out, Inputs(store, call.parents), call.config, workplace)
        confirm()
        artifact = out.commit(
            stage_version=call.stage.version,
            config=call.config,
            parents={role: _reference(parent) for role, parent in call.parents.items()},
            accounting=outcome.accounting,
            metrics=outcome.metrics,
            record=dict(outcome.record) | _record_of(call),
        )
    shutil.rmtree(workplace.scratch, ignore_errors=True)
    return artifact
