"""Checkpoints of a training run: which of them is whole."""

from __future__ import annotations

import json
import re
from pathlib import Path


def newest_checkpoint(checkpoint_dir: Path) -> Path | None:
    """The newest checkpoint that was written completely: its trainer state, the last file written, can be read."""
    return max(filter(_is_whole, checkpoint_dir.glob("checkpoint-*")), key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    """The number of optimizer steps behind a checkpoint, from its name."""
    match = re.search(r"(\d+)$", checkpoint.name)
    return int(match.group(1)) if match else 0


def _is_whole(checkpoint: Path) -> bool:
    state = checkpoint / "trainer_state.json"
    if not state.is_file():
        return False
    try:
        json.loads(state.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True
