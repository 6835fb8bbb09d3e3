"""Files that somebody names."""

from __future__ import annotations

from pathlib import Path

from latent_core.errors import InputError


def require_file(name: str, path: Path) -> None:
    """Raises InputError, beginning with `name`, the field or option that named `path`, where that is no file."""
    if not path.is_file():
        raise InputError(f"{name}: {path} {'is no file' if path.exists() else 'does not exist'}")
