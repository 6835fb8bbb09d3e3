"""What stages that train share: where their checkpoints are, and how they are followed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from latent_core.sft.training_log import LogReader
from tasks.stage import Workplace


def checkpoints_of(workplace: Workplace) -> Path:
    """The folder of checkpoints, which survives a killed attempt."""
    return workplace.scratch / "checkpoints"


def training_progress(workplace: Workplace) -> Callable[[int, int], None]:
    """Takes the steps done and the steps in all, and shows them with what the trainer has logged by then."""
    log = LogReader(checkpoints_of(workplace))

    def show(done: int, total: int) -> None:
        workplace.measured(log.new())
        workplace.progress(done, total, 0)

    return show
