"""reasoning-gym without its one dependency that only a C compiler can install.

All of its data sets are imported at once. pycosat is what one of them (zebra_puzzles) solves its puzzles with.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any


class _Missing(ModuleType):
    """Stands for a package that is not installed, until something of it is wanted."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ImportError(f"{self.__name__} is not installed; run `pip install {self.__name__}` (needs a C compiler)")


def reasoning_gym() -> Any:
    """The package `reasoning_gym`. Raises ImportError where it is not installed."""
    if "pycosat" not in sys.modules and find_spec("pycosat") is None:
        sys.modules["pycosat"] = _Missing("pycosat")
    import reasoning_gym

    return reasoning_gym
