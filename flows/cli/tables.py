"""How listings are printed: rich tables that lose nothing where the output is no terminal; dates, sizes, JSON."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

import typer
from rich.console import Console

WIDTH_IN_FILES = 200  # columns when the output is no terminal


def console() -> Console:
    """Of the terminal's width; wide where there is none."""
    return Console() if sys.stdout.isatty() else Console(width=WIDTH_IN_FILES)


def date(seconds: float | None) -> str:
    """Local time of seconds since the epoch, `2026-11-27 16:28`."""
    return "" if not seconds else f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"


def size(count: int) -> str:
    """Bytes in few signs: `12.3 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def print_json(values: Any) -> None:
    """For programs: one JSON document."""
    typer.echo(json.dumps(values, indent=1, ensure_ascii=False))
