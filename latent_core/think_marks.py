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

WRITTEN_PAIRS = (
    *THINK_PAIRS,
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<seed:think>", "</seed:think>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<|channel|>analysis<|message|>", "<|end|>"),
)
"""Those that published chains of thought are marked with; a model's own are looked for in `THINK_PAIRS` alone."""
