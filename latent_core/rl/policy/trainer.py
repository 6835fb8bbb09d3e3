"""TRL's trainer over given rollouts: it learns from advantages of tokens, under the policy that sampled them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import torch

from latent_core.dual.constraint import PhaseMachine
from latent_core.rl.policy.logprobs import Policy
from latent_core.rl.policy.mismatch import Mismatch
from latent_core.rl.policy.processes import NoWaiting, Processes

DIAGNOSIS = "diagnosis/"
"""What names in a training's log begin with that rollouts or this trainer measured."""


def policy_trainer(machine: PhaseMachine | None, importance_cap: float | None = None) -> type:
    """TRL's GRPOTrainer, with the log-probabilities of `Policy`.

    With `importance_cap`, advantages are weighted by `Mismatch.weights`, under this cap.
    """
    from trl import GRPOTrainer

    class PolicyTrainer(GRPOTrainer):  # type: ignore[misc]
        """Learns from the advantages that its `rollout_func` gives, one for each token, and from kept rows alone.

        Of several processes one may have many kept rows and another none. So they do not meet in every pass, as data
        parallelism would have them do in the model's forward (which `hidden_states` goes around), but once a step, to
        average their gradients.

        Where rollouts bring `sampler_logprobs`, sampler and trainer are compared in the pass that is learned from, and
        every step's log has the measures of `Mismatch`.
        """

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.accelerator: Any
            self._noted: dict[str, float] = {}
            self._mismatch = Mismatch()
            self._learning: dict[str, Any] | None = None
            """The rows of the pass that is under way in `_compute_loss`."""

        @cached_property
        def policy(self) -> Policy:
            """The policy in training, at the temperature it samples with."""
            return Policy(machine, self.temperature)

        def note(self, measures: Mapping[str, float]) -> None:
            """Write these into the log of the step that is under way; so they are in its checkpoint too."""
            self._noted |= {f"{DIAGNOSIS}{name}": value for name, value in measures.items()}

        def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
            """With `advantages` (rows, tokens) and `kept` (rows,) of the rollouts in place of TRL's advantages (rows,).

            TRL subtracts a group's mean in float32, where equal rewards leave a residue.
            """
            batch: dict[str, Any] = super()._generate_and_score_completions(inputs)
            mask = batch["completion_mask"] * batch.get("tool_mask", 1)
            kept = torch.tensor([row["kept"] for row in inputs], device=mask.device)
            advantages = torch.zeros(mask.shape, device=mask.device)
            for place, row in enumerate(inputs):
                advantages[place, : len(row["advantages"])] = torch.tensor(row["advantages"])
            mask = mask * kept[:, None]
            if all("sampler_logprobs" in row for row in inputs):
                sampled = torch.zeros(mask.shape, device=mask.device)
                for place, row in enumerate(inputs):
                    sampled[place, : len(row["sampler_logprobs"])] = torch.tensor(row["sampler_logprobs"])
                batch |= {"sampler_logprobs": sampled}
            return batch | {
                "advantages": advantages * mask,
                "tool_mask": mask,
                "kept": kept,
                "kept_share": self.accelerator.gather(kept.float().mean()).mean(),
                "num_items_in_batch": self.accelerator.gather(mask.sum()).sum(),
            }

        def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
            """Over kept rows: the others cost no pass, have no divergence, and no denominator counts them."""
            kept = inputs["kept"]
            if not kept.any():
                nothing: torch.Tensor = next(value for value in model.parameters() if value.requires_grad).sum() * 0.0
                return nothing
            rows = {
                name: value[kept] if isinstance(value, torch.Tensor) and value.ndim else value
                for name, value in inputs.items()
            }
            meeting, self._learning = self.accelerator, rows
            self.accelerator = NoWaiting(meeting)
            try:
                loss: torch.Tensor = super()._compute_loss(model, rows)
            finally:
                self.accelerator, self._learning = meeting, None
            if self.loss_type == "dapo":  # divided by the tokens of all kept rows
                return loss
            # TRL's mean is over this pass's kept rows; weighted by their share of it, it is one over the step's.
            share: torch.Tensor = kept.float().mean() / inputs["kept_share"]
            return loss * share

        def _compare(self, rows: dict[str, Any], trainer: torch.Tensor) -> None:
            """Measure and correct the difference to the sampler; TRL reads the advantages of `rows` after this."""
            sampler, own = rows["sampler_logprobs"], rows["tool_mask"]
            self._mismatch.add(sampler, trainer, own)
            if importance_cap is not None:
                before = rows.get("old_per_token_logps", trainer)  # TRL keeps them where rollouts are learned twice
                rows["advantages"] = rows["advantages"] * self._mismatch.weights(sampler, before, own, importance_cap)

        def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
            """Without gradients, not with zeros, where no group teaches: the optimizer's momentum stands still too."""
            loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
            if not self._buffered_inputs[0]["kept_share"] > 0:
                model.zero_grad(set_to_none=True)
            elif self.accelerator.sync_gradients:
                groups = self.optimizer.param_groups
                Processes.here().average_gradients(one for group in groups for one in group["params"])
            return loss

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            """With what was noted since the step before, and the measures of all processes' passes.

            Those that they share already are theirs as well.
            """
            self.note(self._mismatch.take())
            noted, self._noted = self._noted, {}
            everyones: dict[str, list[float]] = {}
            for found in Processes.here().everyones([dict(self._metrics["train"])]):
                for name, values in found.items():
                    everyones.setdefault(name, []).extend(values)
            self._metrics["train"].update(everyones)
            super().log(logs | noted, start_time)

        def _get_per_token_logps_and_entropies(
            self,
            model: Any,
            input_ids: torch.Tensor,
            attention_mask: torch.Tensor,
            logits_to_keep: int,
            batch_size: int | None = None,
            compute_entropy: bool = False,
            **options: Any,
        ) -> tuple[torch.Tensor, torch.Tensor | None, None]:
            """In place of TRL's own, which reads the head's weight alone: no mask, and no latent rows that learn."""
            found = []
            for ids, mask in _chunks(input_ids, attention_mask, batch_size):
                with self.accelerator.autocast():
                    found.append(self.policy.logprobs(model, ids, mask, logits_to_keep, with_entropies=compute_entropy))
            entropies = [one.entropies for one in found if one.entropies is not None]
            values = torch.cat([one.values for one in found])
            if self._learning is not None and "sampler_logprobs" in self._learning:
                self._compare(self._learning, values.detach())
            return values, torch.cat(entropies) if compute_entropy else None, None

    return PolicyTrainer


def _chunks(ids: torch.Tensor, mask: torch.Tensor, size: int | None) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    size = size or len(ids)
    for start in range(0, len(ids), size):
        yield ids[start : start + size], mask[start : start + size]
