"""What a run is called on Prefect's pages and by `latent runs`: its flow, model, benchmark, and what is new about it.

A name enters no fingerprint. What is new is said against the newest run of the flow in the same store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from latent_core.config.base import StageConfig
from latent_core.config.differences import Difference, differences, shown
from latent_core.errors import InfrastructureError, InputError
from latent_core.models.source import short_name
from latent_core.store import ArtifactStore
from tasks.run.history import last_config

logger = logging.getLogger("latent")
_MOST_FIELDS = 3
_LONGEST_VALUE = 24  # signs
LONGEST = 200  # signs of a name: Prefect's pages cut there


def naming(flow: str, model: type[StageConfig]) -> Callable[[], str]:
    """A flow's `flow_run_name` for Prefect, which calls it inside the run."""

    def name() -> str:
        try:
            config = model.model_validate(given_parameters().get("cfg", {}))
        except ValidationError:  # the flow itself says what is wrong
            return flow
        return run_name(flow, config, newest_config(flow, config))

    return name


def given_parameters() -> Mapping[str, Any]:
    """The parameters with which Prefect runs the present flow; none outside a flow run."""
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    return {} if context is None else (context.parameters or {})


def newest_config(flow: str, config: StageConfig) -> Mapping[str, Any] | None:
    """The parameters of the newest run of the flow in the store of `config`; None without one that can be read."""
    try:
        return last_config(ArtifactStore(config.store), flow)  # type: ignore[attr-defined]
    except (OSError, InfrastructureError, InputError) as error:
        logger.debug("the run is named without a look at earlier ones: %s", error)
        return None


def run_name(flow: str, config: StageConfig, before: Mapping[str, Any] | None) -> str:
    """`tokenskip-math latent-mini word_problems: train.learning_rate 0.001`."""
    values = config.model_dump(mode="json")
    words = [flow]
    if isinstance(values.get("model"), str):
        words.append(short_name(values["model"]))
    benchmark = values.get("benchmark")
    if isinstance(benchmark, Mapping) and isinstance(benchmark.get("name"), str):
        words.append(short_name(benchmark["name"]))
    new = "" if before is None else new_values(differences(before, values, type(config)))
    return f"{' '.join(words)}{new and f': {new}'}"[:LONGEST]


def new_values(found: Iterable[Difference]) -> str:
    """`train.learning_rate 0.001, seeds [1, 2]` of the differences that can change a result; the first ones."""
    fields = [item for item in found if item.changes_results]
    words = [f"{item.path} {shown(item.after, _LONGEST_VALUE)}" for item in fields[:_MOST_FIELDS]]
    more = len(fields) - _MOST_FIELDS
    return ", ".join(words) + (f" and {more} more" if more > 0 else "")
