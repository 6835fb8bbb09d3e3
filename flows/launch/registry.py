"""The flows a user can name; a flow's module is imported only when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pydantic import ValidationError

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
            task_runner=ThreadPoolTaskRunner(),  # type: ignore[arg-type]
            persist_result=True,
            result_serializer="json",
            validate_parameters=True,
        )(self.execute)


_MODULES = {
    "tokenskip-math": "flows.tokenskip_math",
    "mini": "flows.mini",
    "direct": "flows.direct",
    "concise": "flows.concise",
    "compressor": "flows.compressor",
    "label-kinds": "flows.label_kinds",
    "compare": "flows.compare",
    "grpo": "flows.grpo",
    "rl": "flows.rl",
    "length": "flows.length",
    "reevaluate": "flows.reevaluate",
}


def find_flow(name: str) -> FlowEntry:
    """Raises InputError for an unknown name."""
    if name not in _MODULES:
        raise InputError(f"flow: unknown flow {name!r}; choose one of {', '.join(_MODULES)}")
    entry: FlowEntry = import_module(_MODULES[name]).ENTRY
    return entry
