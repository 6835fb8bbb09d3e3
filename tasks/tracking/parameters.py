"""Nested fields as MLflow's parameters and metrics: flat, by path, within the names and lengths that it takes."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST_VALUE = 6000  # characters of a parameter; MLflow's limit
LONGEST_TAG = 8000  # characters of a tag, the note among them; MLflow's limit
_LONGEST_NAME = 250  # characters of a parameter's, a metric's or a tag's name; MLflow's limit
_TAKEN = re.compile(r"[/\w.\- :]+")
_OTHERS = re.compile(r"[^/\w.\- :]+")
LEFT_OUT = "parameters_left_out"


def flat_parameters(fields: Mapping[str, Any], file: str) -> dict[str, str]:
    """Fields by path: `sampling/temperature`. `file` is where the run has all of them as they are.

    Nothing is cut: the value of a field that is too long for MLflow says so and names the file, and fields whose names
    it does not take are counted under `parameters_left_out`.
    """
    found, left = {}, 0
    for name, text in _leaves(fields, ""):
        if not is_taken(name):
            left += 1
        elif len(text) > LONGEST_VALUE:
            found[name] = f"{len(text):,} characters: see {file}"
        else:
            found[name] = text
    if left:
        found[LEFT_OUT] = f"{left} with names that MLflow does not take: see {file}"
    return found


def shortened(text: str, longest: int) -> str:
    """The text, or its beginning and how much of it is left out."""
    if len(text) <= longest:
        return text
    kept = longest - 60
    return f"{text[:kept]} … ({len(text) - kept:,} characters more)"


def is_taken(name: str) -> bool:
    """Whether MLflow takes the name for a parameter or a metric."""
    is_path = posixpath.normpath(name) == name and not name.startswith(("/", ".."))
    return len(name) <= _LONGEST_NAME and is_path and _TAKEN.fullmatch(name) is not None


def taken_name(name: str) -> str:
    """A name that MLflow takes: other characters become one underscore."""
    return _OTHERS.sub("_", name)[:_LONGEST_NAME]


def _leaves(fields: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in fields.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) and value else json.dumps(value)


def flat_numbers(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of nested metrics by path: `accuracy/value`, `ratios/0/achieved_ratio`; names MLflow accepts."""
    for key, value in metrics.items():
        name = f"{prefix}{taken_name(str(key))}"
        if isinstance(value, Mapping):
            yield from flat_numbers(value, f"{name}/")
        elif isinstance(value, list):
            yield from flat_numbers({str(index): item for index, item in enumerate(value)}, f"{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, float(value)
