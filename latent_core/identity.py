"""What makes two computations the same: canonical JSON and the fingerprint over it (DESIGN §3)."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

Canonical = None | bool | int | float | str | list["Canonical"] | dict[str, "Canonical"]

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class NotCanonicalError(TypeError):
    """A value has no canonical form, so it cannot take part in an identity."""


@runtime_checkable
class HasIdentity(Protocol):
    """A configuration that knows which of its fields change the result."""

    def identity(self) -> dict[str, Any]: ...


def canonical_form(value: object, path: str = "config") -> Canonical:
    """Reduce `value` to JSON types with one spelling each.

    Integer-valued floats become integers (as RFC 8785 §3.2.2.3 serialises them), tuples become lists, enum members
    their value. Raises NotCanonicalError, naming the path, for everything else: objects, callables, sets, bytes, paths,
    dates, NaN, infinities and mappings whose keys are not strings.
    """
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise NotCanonicalError(f"{path}: the string is not valid Unicode ({error.reason})") from error
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotCanonicalError(f"{path}: {value} has no canonical form; use a finite number")
        return int(value) if value.is_integer() else value
    if isinstance(value, HasIdentity):
        return canonical_form(value.identity(), path)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise NotCanonicalError(f"{path}: key {key!r} is a {type(key).__name__}; keys must be strings")
        return {key: canonical_form(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical_form(item, f"{path}[{index}]") for index, item in enumerate(value)]
    raise NotCanonicalError(
        f"{path}: a {type(value).__name__} has no canonical form; use str, int, float, bool, None, list or dict"
    )


def canonical_json(value: object) -> str:
    """One line of JSON: keys sorted by code point, no spaces, UTF-8, finite numbers only."""
    return json.dumps(canonical_form(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(stage: str, version: int, config: object, parents: Mapping[str, str]) -> str:
    """The 64 hex digits that address a stage's result: sha256 over stage, version, identity config and parents.

    `config` is a mapping or an object with `.identity()`; `parents` maps a role ("model", "cots") to the parent's own
    fingerprint or content hash. Raises NotCanonicalError for what has no canonical form and ValueError for an empty
    stage name, a version below 1 or a parent that is not 64 lower-case hex digits.
    """
    if not stage:
        raise ValueError("stage: must not be empty")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(f"version: must be an integer of at least 1, got {version!r}")
    for role, parent in parents.items():
        if not isinstance(parent, str) or not _FINGERPRINT.fullmatch(parent):
            raise ValueError(f"parents.{role}: must be 64 lower-case hex digits, got {parent!r}")
    body = {"stage": stage, "stage_version": version, "config": config, "parents": dict(parents)}
    return hashlib.sha256(canonical_json(body).encode()).hexdigest()


def hash_file(path: Path) -> str:
    """sha256 of a file's bytes as 64 hex digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def hash_tree(root: Path, names: Iterable[Path]) -> str:
    """sha256 over the relative names and contents of `names` under `root`: the identity of a directory of files."""
    listing = {name.relative_to(root).as_posix(): hash_file(name) for name in names}
    return hashlib.sha256(canonical_json(listing).encode()).hexdigest()
