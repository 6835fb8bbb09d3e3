"""A flow with three parameters beside the one with all: a parameter file by its name, and what differs from it.

Prefect's page draws every field of every section of a flow's parameters, one below the other. The short form is read
as `latent run FLOW -c deployments/PRESET.yaml --set OVERRIDE --force STAGE` is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from flows.launch.names import LONGEST, given_parameters
from flows.launch.parameters import load
from flows.launch.registry import FlowEntry, find_flow
from latent_core.config.base import StageConfig
from latent_core.errors import InputError

FOLDER = Path(__file__).parents[1] / "deployments"  # in a checkout a link, in a wheel the files
PRESETS = {  # the files in it, by the flow that they are for
    "tokenskip-math": ("smoke", "smollm2", "smollm2-gsm8k", "tokenskip-math", "tokenskip-math-dual", "own-chains"),
    "direct": ("direct", "direct-constant"),
    "concise": ("concise", "concise-gsm8k", "sketch-of-thought"),
    "grpo": ("grpo", "grpo-length"),
    "rl": ("rl-bandit", "rl-countdown", "rl-frozen-lake", "rl-sokoban"),
    "length": ("length",),
    "reevaluate": ("reevaluate",),
    "compressor": ("compressor",),
    "label-kinds": ("label-kinds",),
    "compare": ("compare",),
}


def short_flow(name: str) -> Any:
    """The flow `name` as Prefect runs it, with the parameters `preset`, `overrides` and `force`."""
    entry = find_flow(name)

    def short(preset, overrides=(), force=()):  # type: ignore[no-untyped-def]  # annotated below
        """A parameter file, and what differs from it.

        Args:
            preset: Parameter file of the folder deployments/.
            overrides: What differs from it, each as section.field=value, such as train.learning_rate=2e-3.
            force: Names of stages to compute again although the store has their results.
        """
        return entry.execute(settled(entry, preset, overrides), force)

    short.__annotations__ = {
        "preset": Literal[PRESETS[name]],
        "overrides": list[str],
        "force": list[str],
        "return": dict[str, str],
    }
    return replace(entry, execute=short).flow().with_options(flow_run_name=_named(name))


def settled(entry: FlowEntry, preset: str, overrides: Sequence[str]) -> StageConfig:
    """The parameters that the short form stands for. Raises InputError, which names the form's field."""
    try:
        return load(entry.config, FOLDER / f"{preset}.yaml", overrides)
    except InputError as error:
        raise InputError(str(error).replace("--set:", "overrides:")) from error.__cause__


def _named(flow: str) -> Any:
    """A run's name: its flow, the parameter file, and what differs from it."""

    def name() -> str:
        given = given_parameters()
        differs = ", ".join(given.get("overrides", ()))
        return f"{flow} {given.get('preset', '')}{differs and f': {differs}'}"[:LONGEST]

    return name
