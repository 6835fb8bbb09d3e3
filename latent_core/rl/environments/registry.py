"""Environments by name: the project's own, and those that installed packages offer."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from latent_core.errors import InputError
from latent_core.rl.environments.protocol import Environment, EnvironmentSpec

GROUP = "latent.environments"  # entry points: NAME = module:SPEC
_HERE = "latent_core.rl.environments"
_OWN: dict[str, str] = {  # name of an environment -> module:SPEC
    "bandit": f"{_HERE}.bandit:BANDIT",
    "code": f"{_HERE}.code:CODE",
    "countdown": f"{_HERE}.reasoning:COUNTDOWN",
    "cube": f"{_HERE}.cube:CUBE",
    "frozen_lake": f"{_HERE}.frozen_lake:FROZEN_LAKE",
    "frozen_lake_slippery": f"{_HERE}.frozen_lake:FROZEN_LAKE_SLIPPERY",
    "game_2048": f"{_HERE}.game_2048:GAME_2048",
    "metamathqa": f"{_HERE}.metamathqa:METAMATHQA",
    "search_qa": f"{_HERE}.search_qa:SEARCH_QA",
    "sokoban": f"{_HERE}.sokoban:SOKOBAN",
    "sokoban_small": f"{_HERE}.sokoban:SOKOBAN_SMALL",
    "static": f"{_HERE}.static:STATIC",
    "sudoku": f"{_HERE}.reasoning:SUDOKU",
}
_WITH_ARGUMENT: dict[str, str] = {  # name before a colon -> module:function of what follows, giving a spec
    "code": f"{_HERE}.code:code",
    "countdown": f"{_HERE}.reasoning:countdown",
    "metamathqa": f"{_HERE}.metamathqa:metamathqa",
    "reasoning": f"{_HERE}.reasoning:reasoning",
    "remote": f"{_HERE}.remote:remote",
    "search_qa": f"{_HERE}.search_qa:search_qa",
    "static": f"{_HERE}.static:static",
    "sudoku": f"{_HERE}.reasoning:sudoku",
}


def environment_names() -> list[str]:
    """Names that `open_environment` takes as they are, in alphabetical order."""
    return sorted({*_OWN, *(point.name for point in entry_points(group=GROUP))})


def find_environment(name: str) -> EnvironmentSpec:
    """The spec of an environment: NAME, or NAME:ARGUMENT for those that take one (static:BENCHMARK, remote:URL).

    Raises InputError for a name that is not there, with the nearest ones.
    """
    family, colon, argument = name.partition(":")
    if colon and family in _WITH_ARGUMENT:
        spec: EnvironmentSpec = _object(_WITH_ARGUMENT[family])(argument)
        return spec
    if name in _OWN:
        return _spec(name, _object(_OWN[name]))
    for point in entry_points(group=GROUP, name=name):
        return _spec(name, point.load())
    known = environment_names()
    near = difflib.get_close_matches(name, [*known, *_WITH_ARGUMENT]) or known
    raise InputError(f"environment: there is no {name!r}; did you mean {' or '.join(near)}? `latent envs` lists them")


def open_environment(name: str) -> Environment:
    """A new environment of that name, to be reset before its first step. Raises InputError for an unknown name."""
    return find_environment(name).open()


def _spec(name: str, found: object) -> EnvironmentSpec:
    if not isinstance(found, EnvironmentSpec):
        raise InputError(f"environment: the entry point {name!r} of group {GROUP} is no EnvironmentSpec")
    return found


@cache
def _object(path: str) -> Callable[..., EnvironmentSpec]:
    module, _, attribute = path.partition(":")
    found: Callable[..., EnvironmentSpec] = getattr(import_module(module), attribute)
    return found
