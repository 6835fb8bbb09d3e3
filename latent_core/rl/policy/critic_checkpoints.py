"""A value head in the checkpoints of the policy's trainer: what goes on after a kill goes on with equal values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from latent_core.rl.policy.value_head import Critic


def with_critic(trainer: type, critic: Critic | None) -> type:
    """A trainer that writes and restores the head together with the optimizer; the same trainer where there is none.

    The trainer's state is the last file of a checkpoint, so that one that is whole has its head.
    """
    return trainer if critic is None else _saving(trainer, critic)


def _saving(trainer: type, critic: Critic) -> type:
    class CriticTrainer(trainer):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            critic.to(self.accelerator.device)

        def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
            super()._save_optimizer_and_scheduler(output_dir)
            if self.args.should_save:
                critic.save(Path(output_dir))

        def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
            super()._load_optimizer_and_scheduler(checkpoint)
            if checkpoint is not None:
                critic.restore(Path(checkpoint))

    return CriticTrainer
