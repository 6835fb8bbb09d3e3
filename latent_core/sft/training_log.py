"""What a trainer logs, kept in a file as it comes, so that losses can be followed while it trains.

The file lies beside the checkpoints: training processes and whoever started them share that folder.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

_NAME = "log.jsonl"
Logged = dict[str, float]  # the numbers of one entry by name, and "step": the optimizer step after which it was logged


def log_callback(checkpoint_dir: Path) -> Any:
    """Appends every entry of the trainer's log to the file; of several processes the first one does."""
    from transformers import TrainerCallback

    class Log(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if not state.is_world_process_zero or not state.log_history:
                return
            checkpoint_dir.mkdir(parents=True, exist_ok=True)
            numbers = {name: value for name, value in state.log_history[-1].items() if _is_number(value)}
            with (checkpoint_dir / _NAME).open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(numbers) + "\n")

    return Log()


class LogReader:
    """Reads the file on from where it stopped; one that an interrupted attempt wrote is read from its beginning."""

    def __init__(self, checkpoint_dir: Path) -> None:
        self._path = checkpoint_dir / _NAME
        self._read = 0

    def new(self) -> list[Logged]:
        """The entries that were added since the last call; a line that is still being written is left for the next."""
        if not self._path.is_file():
            return []
        with self._path.open("rb") as handle:
            handle.seek(self._read)
            whole, _, _ = handle.read().rpartition(b"\n")
        if not whole:
            return []
        self._read += len(whole) + 1
        found = []
        for line in whole.splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:  # torn where a process was killed; the manifest has the whole curve
                continue
        return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
