"""Parameter files: YAML, overridden on the command line, checked with messages that name the field and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from latent_core.config.base import StageConfig
from latent_core.errors import InputError

C = TypeVar("C", bound=StageConfig)


def load(model: type[C], file: Path | None, overrides: Sequence[str] = ()) -> C:
    """Read `file` (YAML) and apply `overrides` such as `collect.questions=100`.

    Values of overrides are YAML too. Raises InputError listing every wrong field, one a line.
    """
    values: dict[str, Any] = {}
    if file is not None:
        values = _read(file)
    for override in overrides:
        _apply(values, override)
    return checked(model, values)


def checked(model: type[C], values: dict[str, Any]) -> C:
    """The parameters that `values` spell; raises InputError listing every wrong field, one a line."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors()
        lines = [_line(model, item) for item in found if not _is_consequence(item, found)]
        raise InputError("\n".join(lines)) from error


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key given twice, of which YAML itself silently keeps the last."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key, _ in node.value:
        if key.value in seen and isinstance(key, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key.value!r} is given twice; keep one", key.start_mark
            )
        seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise InputError(f"--config: {file} {'is no file' if file.exists() else 'does not exist'}")
    try:
        values = yaml.load(file.read_text(encoding="utf-8"), _Loader) or {}
    except UnicodeDecodeError as error:
        raise InputError(f"--config: {file} is not UTF-8 text ({error.reason} at byte {error.start})") from error
    except yaml.YAMLError as error:
        raise InputError(f"--config: {file} is not YAML ({error})") from error
    if not isinstance(values, dict):
        raise InputError(f"--config: {file} must hold a mapping of sections")
    return values


def _apply(values: dict[str, Any], override: str) -> None:
    path, equals, raw = override.partition("=")
    if not equals or not path:
        raise InputError(f"--set: {override!r} must look like section.field=value")
    *sections, last = path.split(".")
    target = values
    for section in sections:
        if not isinstance(target.setdefault(section, {}), dict):
            raise InputError(f"--set: {section} in {override!r} is not a section")
        target = target[section]
    try:
        target[last] = yaml.load(raw, _Loader)
    except yaml.YAMLError as error:
        raise InputError(f"--set: the value in {override!r} is not YAML ({error}); mend or quote it") from error


def _is_consequence(item: Any, found: Sequence[Any]) -> bool:
    """Whether a list is only too short because one of its items is wrong, which is told in a line of its own."""
    loc = item["loc"]
    return item["type"] == "too_short" and any(
        other["loc"][: len(loc)] == loc for other in found if len(other["loc"]) > len(loc)
    )


_WANTED = {  # pydantic says it in Python's words
    "tuple_type": "should be a list, such as [a, b]",
    "model_type": "is a section: give it fields, or leave it out",
    "model_attributes_type": "is a section: give it fields, or leave it out",
    "too_short": "must not be empty",
    "invalid_key": "keys are words",
}


def _line(model: type[BaseModel], item: Any) -> str:
    path = [str(part) for part in item["loc"]]
    field = ".".join(path) or "config"
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(path[-1], _fields_at(model, path[:-1]), 1)
        hint = f"did you mean {near[0]!r}?" if near else "remove it"
        return f"{field}: unknown key; {hint}"
    message: str = _WANTED.get(item["type"], item["msg"].removeprefix("Value error, "))
    if item["type"] != "value_error":
        return f"{field}: {message} (got {item['input']!r})"
    if not path or message.startswith((f"{field}:", f"{field}.")):  # a check of several fields names them itself
        return message
    within = message.partition(":")[0].partition(".")[0] in _fields_at(model, path)
    return f"{field}.{message}" if within else f"{field}: {message}"


def _fields_at(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Field names of the section at `path`."""
    current: type[BaseModel] = model
    for part in path:
        field = current.model_fields.get(part)
        options = [field.annotation, *get_args(field.annotation)] if field else []
        sections = [item for item in options if isinstance(item, type) and issubclass(item, BaseModel)]
        if not sections:
            return []
        current = sections[0]
    return list(current.model_fields)
