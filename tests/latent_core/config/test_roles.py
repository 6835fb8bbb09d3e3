"""Every configuration field is classified, and only identity fields reach the fingerprint."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Annotated

import pytest

import flows
import latent_core.config
import tasks
from latent_core.config.base import IDENTITY, RUNTIME, Role, StageConfig
from latent_core.config.collect import CollectConfig
from latent_core.config.sampling import CollectSamplingConfig, SamplingConfig
from latent_core.identity import fingerprint


def _all_configurations() -> list[type[StageConfig]]:
    for package in (latent_core.config, tasks, flows):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    found: list[type[StageConfig]] = []
    waiting = [StageConfig]
    while waiting:
        children = waiting.pop().__subclasses__()
        found += children
        waiting += children
    return [item for item in found if item.__module__.split(".")[0] in ("latent_core", "tasks", "flows")]


def test_every_configuration_field_is_identity_or_runtime() -> None:
    configurations = _all_configurations()
    assert len(configurations) >= 15
    for configuration in configurations:
        assert set(configuration.roles) == set(configuration.model_fields)
        assert all(isinstance(role, Role) for role in configuration.roles.values())


def test_field_without_role_raises_at_class_definition() -> None:
    with pytest.raises(TypeError, match=r"Bad\.field"):

        class Bad(StageConfig):
            field: int = 1


def test_field_with_both_roles_raises_at_class_definition() -> None:
    with pytest.raises(TypeError, match=r"Torn\.field"):

        class Torn(StageConfig):
            field: Annotated[int, IDENTITY, RUNTIME] = 1


def test_runtime_field_does_not_change_the_fingerprint() -> None:
    slow, fast = SamplingConfig(batch_tokens=100), SamplingConfig(batch_tokens=9999)
    assert fingerprint("s", 1, slow, {}) == fingerprint("s", 1, fast, {})


def test_identity_field_in_nested_section_changes_the_fingerprint() -> None:
    one = CollectConfig(sampling=CollectSamplingConfig(seed=1))
    two = CollectConfig(sampling=CollectSamplingConfig(seed=2))
    assert fingerprint("s", 1, one, {}) != fingerprint("s", 1, two, {})
