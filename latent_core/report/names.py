"""How a condition is written for people: in tables, figures and messages."""

from __future__ import annotations

from latent_core.evaluation.condition import Condition, Kind


def condition_name(condition: Condition) -> str:
    """The condition without its model: ratio 0.5, untrained."""
    return condition.kind.value if not condition.kind.takes_ratio else f"{condition.kind.value} {condition.ratio:g}"


def full_name(condition: Condition) -> str:
    """Model and condition: dual, ratio 0.5."""
    return f"{condition.trained_model}, {condition_name(condition)}"


def short_name(condition: Condition) -> str:
    """What tells a condition from others of its model and kind: its ratio, else its kind."""
    return f"{condition.ratio:g}" if condition.kind.takes_ratio else condition.kind.value


def label(condition: Condition) -> str:
    """The label of the stage that evaluates it: dual 0.5, base reduce 0.5, base."""
    if condition.kind in (Kind.TRAINED, Kind.UNTRAINED):
        return condition.trained_model
    is_plain = condition.kind in (Kind.RATIO, Kind.TRUNCATE)  # a stage named truncate says its kind already
    return f"{condition.trained_model} {short_name(condition) if is_plain else condition_name(condition)}"
