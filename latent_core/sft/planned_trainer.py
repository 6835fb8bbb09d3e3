"""TRL's SFTTrainer over planned batches, with an evaluation loss that no batch or process count changes."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from latent_core.config.training import LossWeights
from latent_core.dual.remap import IGNORED
from latent_core.sft.loss import weighted_loss, weighted_mean
from latent_core.sft.phase_loss import PhaseLoss
from latent_core.sft.plan import Micro
from latent_core.sft.token_rows import TokenRows


class Head(StrEnum):
    """How the output head and the loss are computed."""

    FUSED = "fused"  # TRL's: logits of supervised tokens only, read from `lm_head.weight`
    FULL_LOGITS = "full_logits"  # the model's own: needed where rows of the head are trained beside its weight
    WEIGHTED = "weighted"  # full logits, with `loss_weights`
    PHASE = "phase"  # no logits: over what sampling allows, with `loss_weights`


def planned_trainer(
    head: Head,
    weights: LossWeights,
    think_end_id: int | None,
    training: list[Micro],
    evaluation: list[Micro],
    rows: TokenRows,
    phase_loss: PhaseLoss | None = None,
) -> Any:
    """A SFTTrainer class that reads the micro batches `training` of `rows` once, in order, and evaluates on
    `evaluation`, which are batches of its `eval_dataset`. `phase_loss` computes the losses of `Head.PHASE`.
    """
    import torch
    from torch.utils.data import DataLoader
    from transformers import Trainer
    from transformers.trainer_utils import EvalLoopOutput
    from trl import SFTTrainer

    class PlannedTrainer(SFTTrainer):  # type: ignore[misc]
        def get_train_dataloader(self) -> Any:
            dataset: Any = rows  # a sequence, which is all that a map-style dataset is
            return DataLoader(
                dataset,
                batch_sampler=training,
                collate_fn=self.data_collator,
                pin_memory=self.args.dataloader_pin_memory,
            )

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            if head is Head.FUSED:
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            inputs["use_cache"] = False
            if head is Head.FULL_LOGITS:
                return Trainer.compute_loss(self, model, inputs, return_outputs, num_items_in_batch)
            labels, outputs = inputs["labels"], None
            if head is Head.PHASE:
                assert phase_loss is not None
                with self.accelerator.autocast():
                    losses = phase_loss(model, self.accelerator.unwrap_model(self.model), inputs)
                loss = weighted_mean(losses, labels, weights, think_end_id, num_items_in_batch)
            else:
                assert think_end_id is not None
                outputs = model(**{name: value for name, value in inputs.items() if name != "labels"})
                loss = weighted_loss(outputs.logits, labels, weights, think_end_id, num_items_in_batch)
            if num_items_in_batch is not None:  # counts the tokens of all processes, over which gradients are averaged
                loss = loss * self.accelerator.num_processes
            return (loss, outputs) if return_outputs else loss

        def evaluation_loop(
            self,
            dataloader: Any,
            description: str,
            prediction_loss_only: bool | None = None,
            ignore_keys: list[str] | None = None,
            metric_key_prefix: str = "eval",
        ) -> Any:
            """The mean loss of all supervised validation tokens; the base class averages batches instead."""
            self.model.eval()
            sums = torch.zeros(2, dtype=torch.float64)  # loss in nats, tokens
            for batch in evaluation:
                examples = [self.eval_dataset[index] for index in batch or [0]]
                inputs = self._prepare_inputs(self.data_collator(examples))
                count = int((inputs["labels"][:, 1:] != IGNORED).sum())
                with torch.no_grad(), self.compute_loss_context_manager():
                    loss = self.compute_loss(self.model, inputs)
                if batch:
                    sums += torch.tensor([float(loss) * count, count], dtype=torch.float64)
            total, tokens = self.accelerator.reduce(sums.to(self.args.device), reduction="sum").tolist()
            metrics = {f"{metric_key_prefix}_loss": total / max(tokens, 1)}
            return EvalLoopOutput(None, None, metrics, len(self.eval_dataset))

    return PlannedTrainer
