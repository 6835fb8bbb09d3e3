"""Compression ratios, as every stage takes them, and once for all stages of a flow."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, TypeAdapter, field_validator, model_validator

from latent_core.config.base import WIRING, StageConfig


def _no_boolean(ratio: Any) -> Any:
    """Refuse true, which pydantic would read as 1.0."""
    if isinstance(ratio, bool):
        raise ValueError(f"should be a number (got {ratio})")
    return ratio


Ratio = Annotated[float, BeforeValidator(_no_boolean), Field(gt=0, le=1)]
Ratios = Annotated[tuple[Ratio, ...], Field(min_length=1)]
_RATIOS: TypeAdapter[tuple[float, ...]] = TypeAdapter(Ratios)
_SECTIONS = ("compress", "prepare", "evaluate")


class WithRatios(StageConfig):
    """Base of flows that compress, prepare and evaluate at the same ratios."""

    ratios: Annotated[Ratios | None, WIRING] = None
    """Ratios to compress to, to train at and to evaluate at, the uncompressed text (1.0) beside them. Fills
    compress.ratios, prepare.ratios and evaluate.ratios where these are left out."""

    @model_validator(mode="before")
    @classmethod
    def _sections_take_the_ratios(cls, fields: Any) -> Any:
        shorter = _below_one(fields.get("ratios")) if isinstance(fields, dict) else ()
        if not shorter:
            return fields
        filled = dict(zip(_SECTIONS, (shorter, (1.0, *shorter), (1.0, *shorter)), strict=True))
        return fields | {name: cls._with_ratios(name, fields, ratios) for name, ratios in filled.items()}

    @classmethod
    def _with_ratios(cls, name: str, fields: dict[str, Any], ratios: tuple[float, ...]) -> Any:
        section = fields.get(name, cls.model_fields[name].default)
        if isinstance(section, dict):
            return {"ratios": ratios} | section
        if isinstance(section, StageConfig) and "ratios" not in section.model_fields_set:
            return section.model_copy(update={"ratios": ratios})
        return section

    @field_validator("ratios")
    @classmethod
    def _ratios_compress(cls, ratios: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if ratios is not None and min(distinct("ratios", ratios)) == 1:
            raise ValueError("ratios: needs a ratio below 1 to compress to")
        return ratios

    @model_validator(mode="after")
    def _ratios_have_an_effect(self) -> Self:
        """Refuse ratios that no section has: all three were given others."""
        wanted = set(_below_one(self.ratios))
        if self.ratios is not None and all(set(_below_one(getattr(self, name).ratios)) != wanted for name in _SECTIONS):
            sections = ", ".join(f"{name}.ratios" for name in _SECTIONS)
            raise ValueError(f"ratios: {list(self.ratios)} have no effect, since {sections} are given; leave one out")
        return self


def _below_one(ratios: Any) -> tuple[float, ...]:
    """The ratios below 1; none where `ratios` are none or wrong, which their own field says."""
    try:
        return tuple(ratio for ratio in distinct("ratios", _RATIOS.validate_python(ratios)) if ratio < 1)
    except ValueError:
        return ()


def distinct(field: str, ratios: tuple[float, ...]) -> tuple[float, ...]:
    """The ratios as they are; raises ValueError, naming the field, where two are equal to six digits.

    They are written so in tables, and in the roles that evaluations have.
    """
    if len({f"{ratio:g}" for ratio in ratios}) != len(ratios):
        raise ValueError(f"{field}: a ratio appears twice, to six digits, in {list(ratios)}")
    return ratios
