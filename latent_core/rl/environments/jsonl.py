"""Rows of a local JSONL file that an environment reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from latent_core.errors import InputError


def read_rows(environment: str, argument: str) -> list[tuple[str, dict[str, Any]]]:
    """The objects of a JSONL file in UTF-8, each with its place in words; blank lines are no rows.

    Raises InputError, naming `environment`, for a file that is missing, empty or no text, and a line that is no object.
    """
    path = Path(argument)
    if not argument or not path.is_file():
        raise InputError(f"environment: {environment}:{argument} is no file; give a .jsonl file after the colon")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(
            f"environment: {environment}:{argument} is not UTF-8 text (byte {error.start}); save it as UTF-8"
        ) from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{environment}: line {number} of {argument}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"environment: {place} is not JSON ({error}); write an object a line") from error
        if not isinstance(row, dict):
            raise InputError(f"environment: {place} is no JSON object; write an object a line")
        rows.append((place, row))
    if not rows:
        raise InputError(f"environment: {environment}:{argument} holds no rows; write an object a line")
    return rows


def text_of(place: str, row: dict[str, Any], field: str) -> str:
    """The text in a field of a row; raises InputError where it is missing or no text."""
    value = row.get(field)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"environment: {place} has no text in {field!r}; give one")
    return value
