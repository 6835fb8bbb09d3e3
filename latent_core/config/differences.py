"""Two sets of parameters compared field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import BaseModel, ValidationError

from latent_core.config.base import Role
from latent_core.config.fields import described, role_of, section_of


class Absent(Enum):
    """Stands for the value of a field that one side does not have."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass(frozen=True)
class Difference:
    """A field in which two sets of parameters differ; `role` is None where it is not known."""

    path: str
    before: Any
    after: Any
    role: Role | None = None

    @property
    def changes_results(self) -> bool:
        """Whether the field enters fingerprints, or is not known not to."""
        return self.role is not Role.RUNTIME


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any], model: type[BaseModel] | None = None
) -> list[Difference]:
    """Fields of nested parameters, plain as YAML gives them, that differ, in the order in which they stand.

    With `model`, a default is the same said or unsaid, and differences have roles. Parameters that this release
    refuses, as those of an older one may be, are compared as they are written.
    """
    if model is None:
        return list(_differences(before, after, None))
    try:
        one, other = (model.model_validate(values).model_dump(mode="json") for values in (before, after))
    except ValidationError:
        defaults = {item.path: item.default for item in described(model)}
        found = _differences(before, after, model)
        return [item for item in found if not _is_unsaid_default(item, defaults)]
    return list(_differences(one, other, model))


def _is_unsaid_default(item: Difference, defaults: Mapping[str, Any]) -> bool:
    if ABSENT not in (item.before, item.after) or item.path not in defaults:
        return False
    return bool(defaults[item.path] == (item.after if item.before is ABSENT else item.before))


def _differences(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    model: type[BaseModel] | None,
    above: str = "",
    role: Role | None = None,
) -> Iterator[Difference]:
    for name in dict.fromkeys([*before, *after]):
        one, other = before.get(name, ABSENT), after.get(name, ABSENT)
        if one == other:
            continue
        own = role if model is None or role is Role.RUNTIME else role_of(model, name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            field = model.model_fields.get(name) if model is not None else None
            section = None if field is None else section_of(field)
            yield from _differences(one, other, section, f"{above}{name}.", own)
        else:
            yield Difference(f"{above}{name}", one, other, own)


def shown(value: Any, longest: int = 60) -> str:
    """A value in few signs: `0.001`, `[1, 2]`, `-` for a field that is not there."""
    if value is ABSENT:
        return "-"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        text = f"{value:g}"
    elif isinstance(value, list | tuple):
        text = f"[{', '.join(shown(item, longest) for item in value)}]"
    elif isinstance(value, Mapping):
        text = f"{{{', '.join(f'{name}: {shown(item, longest)}' for name, item in value.items())}}}"
    else:
        text = str(value)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
