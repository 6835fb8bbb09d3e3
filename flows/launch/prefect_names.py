"""A Prefect plugin: `prefect deployment run tokenskip-math` finds the deployment without its flow's name.

Prefect wants FLOW/DEPLOYMENT. Where a name holds no slash and exactly one deployment is called so, that one is meant.
Loaded through the entry point group `prefect.plugins`, switched on in pyproject.toml.
"""

from __future__ import annotations

import functools
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
from prefect.exceptions import ObjectNotFound
from prefect.plugins import register_hook


def _accept_bare_names(client: type[PrefectClient]) -> None:
    original = client.read_deployment_by_name
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    async def read_deployment_by_name(self: PrefectClient, name: str) -> Any:
        if "/" not in name:
            wanted = DeploymentFilter(name=DeploymentFilterName(any_=[name]))
            found = await self.read_deployments(deployment_filter=wanted)
            if len(found) == 1:
                return await self.read_deployment(found[0].id)
            if not found:
                raise ObjectNotFound(http_exc=ValueError(f"no deployment is called {name!r}"))
            if len(found) > 1:
                raise ValueError(f"{len(found)} deployments are called {name!r}; say FLOW/{name}")
        return await original(self, name)

    client.read_deployment_by_name = read_deployment_by_name  # type: ignore[method-assign, assignment]


@register_hook
def setup_environment(*, ctx: Any) -> None:
    """Called by Prefect when it starts."""
    _accept_bare_names(PrefectClient)
