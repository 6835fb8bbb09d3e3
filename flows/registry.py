"""The flows a user can name; a flow's module is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from latent_core.config.base import StageConfig
from latent_core.errors import InputError
from latent_core.store import Artifact
from tasks.run import Pending, Run


@dataclass(frozen=True)
class FlowEntry:
    """What the command line needs of a flow: its parameters, how to open and compose a run, how to execute it."""

    config: type[StageConfig]
    open_run: Callable[..., Run]
    compose: Callable[[Any, Run], Pending]
    execute: Callable[..., Any]
    show: Callable[[Artifact], None]


_MODULES = {
    "tokenskip-math": "flows.tokenskip_math",
    "mini": "flows.mini",
    "direct": "flows.direct",
    "concise": "flows.concise",
    "compressor": "flows.compressor",
    "label-kinds": "flows.label_kinds",
    "grpo": "flows.grpo",
    "reevaluate": "flows.reevaluate",
}


def find_flow(name: str) -> FlowEntry:
    """Raises InputError for an unknown name."""
    if name not in _MODULES:
        raise InputError(f"flow: unknown flow {name!r}; choose one of {', '.join(_MODULES)}")
    entry: FlowEntry = import_module(_MODULES[name]).ENTRY
    return entry
