"""The fields of parameter models as people read them: path, type, default, meaning, and what a change does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from latent_core.config.base import Role, StageConfig

_WORDS = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    NoneType: "null",
    type(...): "",
}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "min_length": "length at least"}


@dataclass(frozen=True)
class Described:
    """One field, or a section of fields (`is_section`, which has no type and no default of its own).

    `default` is its value as JSON has it; `is_required`: there is none.
    """

    path: str
    type: str
    default: Any
    doc: str
    role: Role | None
    is_section: bool = False
    is_required: bool = False


def described(model: type[BaseModel], above: str = "", role: Role | None = None) -> Iterator[Described]:
    """Every field below `model`, sections before what they hold; what is below runtime fields is runtime too."""
    for name, field in model.model_fields.items():
        path = f"{above}{name}"
        own = Role.RUNTIME if role is Role.RUNTIME else role_of(model, name)
        default = field.get_default(call_default_factory=True, validated_data={})
        doc = " ".join((field.description or "").split())
        inner = section_of(field)
        if inner is None:
            is_required = field.is_required()
            yield Described(path, type_of(field), None if is_required else plain(default), doc, own, False, is_required)
            continue
        is_optional = NoneType in get_args(field.annotation)
        doc = doc or " ".join((inner.__doc__ or "").split())
        yield Described(path, "section or null" if is_optional else "section", plain(default), doc, own, True)
        yield from described(inner, f"{path}.", own)


def plain(value: Any) -> Any:
    """A value of a parameter model as JSON has it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple | list | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return value


def role_of(model: type[BaseModel], name: str) -> Role | None:
    """What a field of `model` means for caching; None where the model does not say."""
    return model.roles.get(name) if issubclass(model, StageConfig) else None


def sections_of(field: FieldInfo) -> list[type[BaseModel]]:
    """The kinds of section that a field can hold, also in a list."""
    options = [field.annotation, *get_args(field.annotation)]
    return [item for item in options if isinstance(item, type) and issubclass(item, BaseModel)]


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The section that a field is; None for a value, also for a list of sections."""
    if get_origin(field.annotation) in (tuple, list, dict):
        return None
    return next(iter(sections_of(field)), None)


def type_of(field: FieldInfo) -> str:
    """The values that a field takes, in words: `number at least 0`, `list of standard | dual`."""
    bounds = [
        f"{words} {bound:g}"
        for item in field.metadata
        for name, words in _BOUNDS.items()
        if (bound := getattr(item, name, None)) is not None
    ]
    return " ".join([_type_text(field.annotation), *bounds])


def _type_text(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(_type_text(option) for option in inner)
    if origin in (tuple, list, set, frozenset):
        return f"list of {_type_text(inner[0])}" if inner else "list"
    if origin is dict:
        return f"mapping of {_type_text(inner[1])}"
    if origin is Literal:
        return " | ".join(map(str, inner))
    if hasattr(kind, "__metadata__"):
        return _type_text(inner[0])
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return " | ".join(member.value for member in kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "section"
    return _WORDS.get(kind, getattr(kind, "__name__", str(kind)))


def without_defaults(config: BaseModel) -> dict[str, Any]:
    """The parameters that differ from their defaults, as a parameter file has them."""
    return config.model_dump(mode="json", exclude_defaults=True)
