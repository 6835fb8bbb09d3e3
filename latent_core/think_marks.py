"""The marks between which models reason, as text."""

from __future__ import annotations

THINK_PAIRS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("[THINK]", "[/THINK]"),
    ("<|think|>", "<|/think|>"),
)
"""In order of preference."""
THINK_OPEN, THINK_CLOSE = THINK_PAIRS[0]
"""The marks that our own models, completions and targets are written with."""
