"""How parameters are declared: every field says whether, and how, it enters the fingerprints of results."""

from __future__ import annotations

from enum import Enum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.fields import FieldInfo


class Role(Enum):
    """What a field means for caching; put into the field's annotation."""

    IDENTITY = "identity"  # changes the result of the stage that takes it: part of that stage's fingerprint
    WIRING = "wiring"  # decides which stages there are or what their parents are: it enters fingerprints through them
    RUNTIME = "runtime"  # changes only how or where a result is computed: part of no fingerprint


IDENTITY = Role.IDENTITY
WIRING = Role.WIRING
RUNTIME = Role.RUNTIME


_NUMBERS = (int, float, int | None, float | None)


class Newer(Enum):
    """Marks an identity field that was added after results had been published under their fingerprints."""

    OMITTED_AT_DEFAULT = "omitted at default"  # results computed before the field existed keep their fingerprints


OMITTED_AT_DEFAULT = Newer.OMITTED_AT_DEFAULT


class StageConfig(BaseModel):
    """Base of all parameter models: frozen, refuses unknown keys, and knows its identity part."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)
    roles: ClassVar[dict[str, Role]]
    omitted_at_default: ClassVar[frozenset[str]]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.roles = {name: _role_of(cls.__name__, name, field) for name, field in cls.model_fields.items()}
        cls.omitted_at_default = frozenset(
            name for name, field in cls.model_fields.items() if OMITTED_AT_DEFAULT in field.metadata
        )

    @model_validator(mode="before")
    @classmethod
    def _booleans_are_not_numbers(cls, fields: Any) -> Any:
        """Refuse true and false for a number; pydantic would read them as 1 and 0."""
        for name, value in fields.items() if isinstance(fields, dict) else ():
            field = cls.model_fields.get(name)
            if isinstance(value, bool) and field is not None and field.annotation in _NUMBERS:
                raise ValueError(f"{name}: should be a number (got {value})")
        return fields

    def identity(self) -> dict[str, Any]:
        """The identity fields by name; nested configurations contribute their own identity part."""
        return {
            name: getattr(self, name)
            for name, role in self.roles.items()
            if role is Role.IDENTITY and not self._is_omitted(name)
        }

    def _is_omitted(self, name: str) -> bool:
        fields = type(self).model_fields
        return name in self.omitted_at_default and getattr(self, name) == fields[name].get_default()


def _role_of(owner: str, name: str, field: FieldInfo) -> Role:
    roles = [item for item in field.metadata if isinstance(item, Role)]
    if len(roles) != 1:
        raise TypeError(f"{owner}.{name}: annotate the field with exactly one of IDENTITY, WIRING or RUNTIME")
    if OMITTED_AT_DEFAULT in field.metadata and roles != [Role.IDENTITY]:
        raise TypeError(f"{owner}.{name}: only an IDENTITY field can be OMITTED_AT_DEFAULT")
    return roles[0]
