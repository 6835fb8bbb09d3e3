"""What a stage is: a name, a version, and one function from inputs to an artifact. Its identity follows from these."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

from latent_core.config.base import StageConfig
from latent_core.identity import fingerprint
from latent_core.store import ArtifactRef, ArtifactWriter
from tasks.inputs import Input, Opener, roles_of

I = TypeVar("I", bound=tuple[Any, ...])  # noqa: E741  a NamedTuple of references, see tasks.inputs
C = TypeVar("C", bound=StageConfig)


@dataclass(frozen=True)
class Outcome:
    """What a stage reports about the rows it saw. `record` holds what may differ between equal results (rates)."""

    accounting: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)


Measured = Callable[[Sequence[Mapping[str, float]]], None]
"""Takes numbers by name, "step" among them: what training logs while it lasts."""


@dataclass(frozen=True)
class Workplace(Opener):
    """Where a stage runs: the store that its inputs are opened from, a folder that survives a killed attempt, and ways
    to show progress and what was measured so far."""

    scratch: Path
    progress: Callable[[int, int, int], None]  # (items done, items in all, tokens so far)
    measured: Measured = lambda entries: None  # goes out with the next progress


Body = Callable[[ArtifactWriter, I, C, Workplace], Outcome]


@dataclass(frozen=True)
class Stage(Generic[I, C]):
    """`version` is raised when the stage's output changes for the same inputs; a golden test guards it.

    `is_shown`: others than stages read its files (a table, a page, the model registry), so that a run hashes them.
    """

    name: str
    version: int
    body: Body[I, C]
    inputs: type[I]
    is_shown: bool = False

    def call(self, config: C, inputs: I, label: str = "", rows: int | None = None) -> StageCall:
        """The stage applied to its parameters and inputs. Raises TypeError for inputs of another stage."""
        if not isinstance(inputs, self.inputs):
            raise TypeError(f"{self.name}: takes {self.inputs.__name__}, got {type(inputs).__name__}")
        parents = roles_of(inputs)
        hashes = {role: parent.fingerprint for role, parent in parents.items()}
        address = ArtifactRef(self.name, fingerprint(self.name, self.version, config, hashes))
        return StageCall(self, config, inputs, parents, address, label, rows)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """As functions are, a decorated stage is pickled by its name, which stands for the stage and not its body."""
        module, name = self.body.__module__, self.body.__qualname__
        if getattr(sys.modules[module], name, None) is self:
            return _named, (module, name)
        return super().__reduce_ex__(protocol)


def _named(module: str, name: str) -> Any:
    __import__(module)
    return getattr(sys.modules[module], name)


def stage(name: str, *, version: int, shown: bool = False) -> Callable[[Body[I, C]], Stage[I, C]]:
    """Make a function a stage. The type of its inputs is what its parameter `inputs` says.

    `shown` says that others than stages read its files (see `Stage`).
    """

    def decorate(body: Body[I, C]) -> Stage[I, C]:
        return Stage(name, version, body, get_type_hints(body)["inputs"], shown)

    return decorate


@dataclass(frozen=True)
class StageCall:
    """A stage applied to its parameters and inputs: everything a worker needs, and the address of the result."""

    stage: Stage[Any, Any]
    config: StageConfig
    inputs: tuple[Any, ...]
    parents: dict[str, Input]  # the inputs by role
    ref: ArtifactRef
    label: str = ""
    expected_rows: int | None = None

    @property
    def title(self) -> str:
        return f"{self.stage.name} {self.label}".strip()
