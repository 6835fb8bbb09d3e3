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
        if not file.is_file():
            raise InputError(f"--config: the file {file} does not exist")
        try:
            values = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        except yaml.YAMLError as error:
            raise InputError(f"--config: {file} is not YAML ({error})") from error
        if not isinstance(values, dict):
            raise InputError(f"--config: {file} must hold a mapping of sections")
    for override in overrides:
        _apply(values, override)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [_line(model, item) for item in error.errors()]
        raise InputError("\n".join(lines)) from error


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
    target[last] = yaml.safe_load(raw)


def _line(model: type[BaseModel], item: Any) -> str:
    path = [str(part) for part in item["loc"]]
    field = ".".join(path) or "config"
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(path[-1], _fields_at(model, path[:-1]), 1)
        hint = f"did you mean {near[0]!r}?" if near else "remove it"
        return f"{field}: unknown key; {hint}"
    message = item["msg"].removeprefix("Value error, ")
    return f"{field}: {message} (got {item['input']!r})" if item["type"] != "value_error" else f"{field}: {message}"


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
