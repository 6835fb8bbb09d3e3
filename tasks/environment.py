"""Where a result was computed: recorded in its manifest beside the result, never hashed."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_LIBRARIES = ("torch", "transformers", "trl", "peft", "pyarrow")


def environment() -> dict[str, str]:
    """Versions of Python and of the libraries that results depend on, the machine's kind, and this code's commit."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "commit": code_version(),
        **_library_versions(),
    }


@cache
def _library_versions() -> dict[str, str]:
    return {name: version(name) for name in _LIBRARIES}


@cache
def code_version() -> str:
    """The git commit of this code, "+" where files differ from it; outside a checkout, the package's version.

    A copy of the files alone, neither a checkout nor installed, has neither.
    """
    root = Path(__file__).parents[1]
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"]
    if (root / ".git").exists():
        try:
            found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
            return found.stdout.strip()
        except (OSError, subprocess.SubprocessError):  # no git, or a checkout of another user
            pass
    try:
        return f"latent-reasoning {version('latent-reasoning')}"
    except PackageNotFoundError:
        return "latent-reasoning, version unknown"
