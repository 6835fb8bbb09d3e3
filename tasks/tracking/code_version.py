"""Who ran which code, as MLflow's pages show it."""

from __future__ import annotations

import getpass
import re
import sys
from pathlib import Path

_COMMIT = re.compile(r"(?P<commit>[0-9a-f]{7,40})\+?")
CODE_TAG = "latent.code"


def code_tags(code: str) -> dict[str, str]:
    """Tags for a version as `tasks.environment.code_version` writes it; MLflow's own tag takes nothing but a commit."""
    if not code:
        return {}
    commit = _COMMIT.fullmatch(code)
    return {CODE_TAG: code} | ({} if commit is None else {"mlflow.source.git.commit": commit["commit"]})


def user() -> str:
    """Who runs this process; empty where the machine has no name for it, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def command() -> str:
    """The program that this process is, without its folder and its arguments, which may hold secrets."""
    return Path(sys.argv[0]).name if sys.argv and sys.argv[0] else ""
