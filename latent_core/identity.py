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

from latent_core.errors import InputError

Canonical = None | bool | int | float | str | list["Canonical"] | dict[str, "Canonical"]

MAX_DEPTH = 100  # levels of lists and mappings; a value that holds itself has no end
MAX_INTEGER = 10**4300  # Python writes no longer ones by default, and whether it does is a setting of the process
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_CONTAINERS = (dict, list, tuple)  # not asked for an identity, a question that costs more than all others together


class NotCanonicalError(InputError, TypeError):
    """A value has no canonical form, so it cannot take part in an identity."""


@runtime_checkable
class HasIdentity(Protocol):
    """A configuration that knows which of its fields change the result."""

    def identity(self) -> dict[str, Any]: ...


def canonical_form(value: object, path: str = "config") -> Canonical:
    """Reduce `value` to JSON types with one spelling each.

    Integer-valued floats become integers (as RFC 8785 §3.2.2.3 serialises them), tuples become lists, enum members
    their value; strings keep their code points, composed or not. Raises NotCanonicalError, naming the path, for
    everything else: objects, callables, sets, bytes, paths, dates, NaN, infinities, integers of more than 4,300 digits,
    text that is not valid Unicode, mappings whose keys are not strings and what is nested deeper than 100 levels.
    """
    return _canonical(value, path, 0)


def _canonical(value: object, path: str, depth: int) -> Canonical:
    if depth > MAX_DEPTH:
        raise NotCanonicalError(f"{path[:80]}…: nested deeper than {MAX_DEPTH} levels, or holds itself")
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not -MAX_INTEGER < value < MAX_INTEGER:
            raise NotCanonicalError(f"{path}: the integer has more than 4,300 digits; write it as a string")
        return value
    if isinstance(value, str):
        return _valid(value, path)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotCanonicalError(f"{path}: {value} has no canonical form; use a finite number")
        return int(value) if value.is_integer() else value
    if type(value) not in _CONTAINERS and isinstance(value, HasIdentity) and not isinstance(value, type):
        return _canonical(value.identity(), path, depth + 1)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise NotCanonicalError(f"{path}: key {key!r} is a {type(key).__name__}; keys must be strings")
        return {_valid(key, path): _canonical(item, f"{path}.{key}", depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    raise NotCanonicalError(
        f"{path}: a {type(value).__name__} has no canonical form; use str, int, float, bool, None, list or dict"
    )


def _valid(text: str, path: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotCanonicalError(f"{path}: the string {text!r} is not valid Unicode ({error.reason})") from error
    return str(text)


def canonical_json(value: object) -> str:
    """One line of JSON: keys sorted by code point, no spaces, UTF-8, finite numbers only."""
    return json.dumps(canonical_form(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(stage: str, version: int, config: object, parents: Mapping[str, str]) -> str:
    """The 64 hex digits that address a stage's result: sha256 over stage, version, identity config and parents.

    `config` is a mapping or an object with `.identity()`; `parents` maps a role ("model", "cots") to the parent's own
    fingerprint or content hash. Raises NotCanonicalError for what has no canonical form, and InputError (a ValueError)
    for an empty stage name, a version below 1 or a parent that is not 64 lower-case hex digits.
    """
    if not isinstance(stage, str) or not stage:
        raise InputError(f"stage: must be a name, got {stage!r}")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise InputError(f"version: must be an integer of at least 1, got {version!r}")
    if not isinstance(parents, Mapping):
        raise InputError(f"parents: must map each role to a fingerprint, got a {type(parents).__name__}")
    for role, parent in parents.items():
        if not isinstance(parent, str) or not _FINGERPRINT.fullmatch(parent):
            raise InputError(f"parents.{role}: must be 64 lower-case hex digits, got {parent!r}")
    identity = canonical_form(config)
    body = {"stage": stage, "stage_version": version, "config": identity, "parents": canonical_form(parents, "parents")}
    return hashlib.sha256(canonical_json(body).encode()).hexdigest()


def hash_file(path: Path) -> str:
    """sha256 of a file's bytes as 64 hex digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def hash_tree(root: Path, names: Iterable[Path]) -> str:
    """sha256 over the relative names and contents of `names` under `root`: the identity of a directory of files."""
    listing = {name.relative_to(root).as_posix(): hash_file(name) for name in names}
    return hashlib.sha256(canonical_json(listing).encode()).hexdigest()
