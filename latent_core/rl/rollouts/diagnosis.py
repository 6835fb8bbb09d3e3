"""What is measured of a policy while it trains, beside what its rollouts tell: when, and of which rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from latent_core.config.policy_update import PolicyUpdateConfig
from latent_core.models.family import ChatFamily
from latent_core.rl.policy.generating import generating
from latent_core.rl.policy.processes import Processes
from latent_core.rl.rollouts.prompt_dependence import PROMPTS, Group, prompt_dependence


class Diagnosis:
    """Notes measures of the steps of one training in the trainer's log; see `PolicyTrainer.note`."""

    def __init__(self, config: PolicyUpdateConfig, family: ChatFamily) -> None:
        """`config.diagnose_every` is set."""
        self._every = config.diagnose_every or 1
        self._iterations = config.iterations
        self._rows = config.micro_batch_size
        self._family = family

    def note(
        self, trainer: Any, step: int, groups: Sequence[Group], logprobs: Sequence[Sequence[float] | None]
    ) -> None:
        """Of the rollouts of a step, drawn from the weights as they are. `logprobs` are the sampler's, by output.

        Prompt dependence is measured where a multiple of `diagnose_every` is among the steps that learn from these
        rollouts. Of several processes each calls this with its own groups; the first one, which keeps the log, measures
        those of all.
        """
        processes = Processes.here()
        measures = first_token_entropy(processes.everyones(None if found is None else found[:1] for found in logprobs))
        is_due = -step % self._every < self._iterations
        everyones = processes.everyones(groups[:PROMPTS]) if is_due else []
        if is_due and processes.rank == 0:
            model = trainer.accelerator.unwrap_model(trainer.model)
            with generating(model), trainer.accelerator.autocast():
                measures |= prompt_dependence(trainer.policy, model, everyones, self._family, rows=self._rows)
        trainer.note(measures)


def first_token_entropy(logprobs: Sequence[Sequence[float] | None]) -> dict[str, float]:
    """`first_token_entropy` in nats: minus the mean log-probability of outputs' first tokens, an unbiased estimate of
    the mean entropy of what they were drawn from. None where no output has a token."""
    firsts = [found[0] for found in logprobs if found is not None and len(found)]
    return {"first_token_entropy": float(-np.mean(firsts))} if firsts else {}
