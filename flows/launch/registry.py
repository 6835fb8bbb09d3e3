"""The flows a user can name; a flow's module is imported only when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pydantic import ValidationError

from flows.launch.names import naming
from latent_core.config.base import StageConfig
from latent_core.errors import InputError
from latent_core.store import Artifact, ArtifactRef
from tasks.run.protocol import Run


def no_verdict(cfg: Any, run: Run, result: Artifact) -> None:
    """What a flow says whose result is all there is to say."""


@dataclass(frozen=True)
class FlowEntry:
    """What the command line needs of a flow: its name, parameters and stages, how it is executed and shown.

    `conclude` is what follows from the finished result, whether it was computed or found: verdicts, which it raises,
    and records. The flow itself ends with it too. With a plan it only notes what an execution would record.
    """

    name: str
    config: type[StageConfig]
    compose: Callable[[Any, Run], ArtifactRef]
    execute: Callable[..., Any]
    show: Callable[[Artifact], None]
    conclude: Callable[[Any, Run, Artifact], None] = no_verdict

    def flow(self) -> Any:
        """`execute` as Prefect runs it. Imports Prefect, which takes seconds that a plan does not need.

        Raises InputError where a setting of Prefect's, which it reads when it is imported, is wrong.
        """
        try:
            from prefect import flow
            from prefect.task_runners import ThreadPoolTaskRunner
        except ValidationError as error:
            if not error.title.endswith("Settings"):  # as all of Prefect's are called
                raise
            wrong = "; ".join(f"{'.'.join(map(str, item['loc']))} {item['msg']}".strip() for item in error.errors())
            raise InputError(f"prefect: a PREFECT_ variable or the active profile is wrong: {wrong}") from error

        return flow(
            name=self.name,
            flow_run_name=naming(self.name, self.config),
            task_runner=ThreadPoolTaskRunner(),  # type: ignore[arg-type]
            persist_result=True,
            result_serializer="json",
            validate_parameters=True,
        )(self.execute)


_FLOWS = {  # the module of a flow, and where its parameters are declared: to read these no library need be loaded
    "tokenskip-math": ("flows.tokenskip_math", "latent_core.config.tokenskip", "TokenSkipConfig"),
    "mini": ("flows.mini", "latent_core.config.mini", "MiniConfig"),
    "direct": ("flows.direct", "latent_core.config.direct", "DirectConfig"),
    "concise": ("flows.concise", "latent_core.config.concise", "ConciseConfig"),
    "compressor": ("flows.compressor", "latent_core.config.compressor", "CompressorConfig"),
    "label-kinds": ("flows.label_kinds", "latent_core.config.label_kinds", "LabelKindsConfig"),
    "compare": ("flows.compare", "latent_core.config.compare", "CompareConfig"),
    "grpo": ("flows.grpo", "latent_core.config.grpo", "GrpoFlowConfig"),
    "rl": ("flows.rl", "latent_core.config.rl", "RlFlowConfig"),
    "length": ("flows.length", "latent_core.config.length_arms", "LengthArmsConfig"),
    "reevaluate": ("flows.reevaluate", "latent_core.config.reevaluate", "ReevaluateConfig"),
}


def flow_names() -> list[str]:
    """The names of all flows."""
    return list(_FLOWS)


def find_flow(name: str) -> FlowEntry:
    """Raises InputError for an unknown name."""
    _check(name)
    entry: FlowEntry = import_module(_FLOWS[name][0]).ENTRY
    return entry


def parameters_of(name: str) -> type[StageConfig]:
    """The parameters of a flow, without loading what the flow computes with. Raises InputError for an unknown name."""
    _check(name)
    _, module, declared = _FLOWS[name]
    found: type[StageConfig] = getattr(import_module(module), declared)
    return found


def _check(name: str) -> None:
    if name not in _FLOWS:
        raise InputError(f"flow: unknown flow {name!r}; choose one of {', '.join(_FLOWS)}")
