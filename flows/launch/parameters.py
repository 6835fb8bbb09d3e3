"""Parameter files: YAML, overridden on the command line, checked with messages that name the field and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from latent_core.config.base import StageConfig
from latent_core.config.fields import sections_of
from latent_core.errors import InputError
from latent_core.files import require_file

C = TypeVar("C", bound=StageConfig)
_SUGGESTED = 3  # places that a hint names at most
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_ALIKE = 0.75  # difflib's ratio; at its default of 0.6 "steps" is like "store"
_MISSPELT = 0.9  # the same, where the word itself is a key elsewhere


def load(model: type[C], file: Path | None, overrides: Sequence[str] = (), chosen: Mapping[str, Any] = _NOTHING) -> C:
    """Read `file` (YAML), apply `overrides` such as `collect.questions=100`, and then values `chosen` by path.

    Values of overrides are YAML too. Raises InputError listing every wrong field, one a line.
    """
    values: dict[str, Any] = {}
    if file is not None:
        values = read(file)
        _check_kind(model, file, values)
    for override in overrides:
        _apply(values, override)
    for path, value in chosen.items():
        _set(values, path, value, f"--over: {path}")
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


def _one_line(error: yaml.YAMLError) -> str:
    """What is wrong and where, without the excerpt that YAML draws over several lines."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{error.problem}, line {mark.line + 1}, column {mark.column + 1}"
    return " ".join(str(error).split())


def read(file: Path, name: str = "--config") -> dict[str, Any]:
    """What a parameter file holds, unchecked; `name` is what was asked for it.

    Raises InputError for a file that is not a YAML mapping.
    """
    require_file(name, file)
    try:
        values = yaml.load(file.read_text(encoding="utf-8"), _Loader) or {}
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: {file} is not UTF-8 text ({error.reason} at byte {error.start})") from error
    except yaml.YAMLError as error:
        raise InputError(f"{name}: {file} is not YAML ({_one_line(error)})") from error
    if not isinstance(values, dict):
        raise InputError(f"{name}: {file} must hold a mapping of sections")
    return values


def _check_kind(model: type[BaseModel], file: Path, values: dict[str, Any]) -> None:
    """Raise InputError for Prefect's own file, and for the parameters of a deployment with the name it gives them."""
    for key, found in (("deployments", "declares Prefect's deployments"), ("cfg", "holds the parameters under cfg")):
        if key in values and key not in model.model_fields:
            raise InputError(
                f"--config: {file} {found}; give a file with the flow's parameters at its top, such as "
                "deployments/smoke.yaml, or what stands under a deployment's cfg"
            )


def _apply(values: dict[str, Any], override: str) -> None:
    path, equals, raw = override.partition("=")
    if not equals or not path:
        raise InputError(f"--set: {override!r} must look like section.field=value")
    try:
        value = yaml.load(raw, _Loader)
    except yaml.YAMLError as error:
        problem = _one_line(error)
        raise InputError(f"--set: the value in {override!r} is not YAML ({problem}); fix or quote it") from error
    _set(values, path, value, f"--set: {override!r}")


def _set(values: dict[str, Any], path: str, value: Any, source: str) -> None:
    *sections, last = path.split(".")
    target = values
    for section in sections:
        if not isinstance(target.setdefault(section, {}), dict):
            option, _, text = source.partition(" ")
            raise InputError(f"{option} {section} in {text} is not a section")
        target = target[section]
    target[last] = value


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
        return f"{field}: unknown key; {_hint(model, path)}"
    message: str = _WANTED.get(item["type"], item["msg"].removeprefix("Value error, "))
    if item["type"] != "value_error":
        return f"{field}: {message} (got {item['input']!r})"
    if not path or message.startswith((f"{field}:", f"{field}.")):  # a check of several fields names them itself
        return message
    within = message.partition(":")[0].partition(".")[0] in _fields_at(model, path)
    return f"{field}.{message}" if within else f"{field}: {message}"


def _hint(model: type[BaseModel], path: Sequence[str]) -> str:
    """What was meant by a key that its section does not have: a misspelt key of it, the same word elsewhere, or a
    similar one."""
    *section, word = path
    everywhere = sorted(_paths(model), key=len)  # those near the top first
    elsewhere = [".".join(known) for known in everywhere if known[-1] == word]
    near = difflib.get_close_matches(word, _fields_at(model, section), 1, _MISSPELT if elsewhere else _ALIKE)
    if not elsewhere and not near:
        similar = difflib.get_close_matches(word, [known[-1] for known in everywhere], 1, _ALIKE)
        elsewhere = [".".join(known) for known in everywhere if known[-1] in similar]
    meant = [*map(repr, near), *elsewhere][:_SUGGESTED]
    return f"did you mean {' or '.join(meant)}?" if meant else "remove it"


def _paths(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every parameter that an override can name, sections included."""
    for name, field in model.model_fields.items():
        yield (*above, name)
        if get_origin(field.annotation) is not tuple:  # what stands in a list has no name of its own
            for section in sections_of(field):
                yield from _paths(section, (*above, name))


def _fields_at(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Field names of the section at `path`, in which numbers are places in a list."""
    current: type[BaseModel] = model
    for part in path:
        if part.isdecimal():
            continue
        field = current.model_fields.get(part)
        sections = sections_of(field) if field else []
        if not sections:
            return []
        current = sections[0]
    return list(current.model_fields)
