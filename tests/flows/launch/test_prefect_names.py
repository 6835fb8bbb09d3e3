"""`prefect deployment run NAME`: a deployment is found by its bare name, and a misspelt one is called not found."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.exceptions import ObjectNotFound

from flows.launch.prefect_names import _accept_bare_names


def _client(*names: str) -> Any:
    class Client:
        async def read_deployment_by_name(self, name: str) -> Any:
            return f"as Prefect reads {name}"

        async def read_deployments(self, deployment_filter: Any) -> list[Any]:
            return [SimpleNamespace(id=name) for name in names if name in deployment_filter.name.any_]

        async def read_deployment(self, name: str) -> Any:
            return f"deployment {name}"

    _accept_bare_names(Client)  # type: ignore[arg-type]
    return Client()


def _read(client: Any, name: str) -> Any:
    return asyncio.run(client.read_deployment_by_name(name))


def test_bare_name_is_the_one_deployment_of_that_name_and_a_full_one_is_left_to_prefect() -> None:
    client = _client("smoke", "concise")
    assert _read(client, "smoke") == "deployment smoke"
    assert _read(client, "flow/smoke") == "as Prefect reads flow/smoke"


def test_misspelt_or_ambiguous_bare_name_is_refused() -> None:
    client = _client("smoke", "twice", "twice")
    with pytest.raises(ObjectNotFound):
        _read(client, "smok")
    with pytest.raises(ValueError, match="2 deployments are called 'twice'; say FLOW/twice"):
        _read(client, "twice")
