"""Supervised fine-tuning of a causal language model on token ids and labels: TRL's SFTTrainer, PEFT's LoRA.

Examples arrive tokenised. Training resumes from the newest
whole checkpoint in `checkpoint_dir`, which belongs to one fingerprint and may be deleted at any time.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latent_core.config.training import LatentRows, LoraVariant, LossOn, TrainConfig, TrainMethod
from latent_core.dual.storage import FILE_NAME
from latent_core.dual.vocabulary import DualVocabulary
from latent_core.errors import InputError
from latent_core.loading import NO_CODE, SAFE
from latent_core.models.family import chat_family
from latent_core.sft.adapter import settle_adapter
from latent_core.sft.loss import latent_only, weighted_trainer

if TYPE_CHECKING:
    import pyarrow as pa

Progress = Callable[[int, int], None]  # (steps done, steps in all)


@dataclass(frozen=True)
class TrainResult:
    """What training measured; losses are means per trained token in nats.

    `curve` has one entry per logged step with the Trainer's own names (step, loss, learning_rate, eval_loss).
    """

    curve: list[dict[str, float]]
    best_eval_loss: float | None
    trainable_parameters: int
    total_parameters: int
    resumed_from_step: int


def train(
    model_dir: Path,
    training: pa.Table,
    validation: pa.Table | None,
    config: TrainConfig,
    *,
    out_dir: Path,
    checkpoint_dir: Path,
    latent_ids: Sequence[int] = (),
    progress: Progress | None = None,
) -> TrainResult:
    """Fine-tune the model in `model_dir`, write the merged model (and the adapter, under LoRA) below `out_dir`.

    `training` and `validation` have list columns `input_ids` and `labels` (-100: no loss), of equal length per row.
    `latent_ids` are the latent rows of a dual model; with `latent_rows: trainable` they are trained beside the adapter.
    Writes `out_dir/model` and, for LoRA, `out_dir/adapter`. Raises InputError for an empty training split or a
    micro_batch_size that does not divide batch_size.
    """
    from transformers import AutoTokenizer
    from trl import SFTTrainer

    if training.num_rows == 0:
        raise InputError("train: no training examples are left; look at the row accounting of the prepare stage")
    if config.batch_size % config.micro_batch_size:
        raise InputError(
            f"train.micro_batch_size: {config.micro_batch_size} does not divide batch_size {config.batch_size}"
        )
    if config.loss_on is LossOn.LATENT_ONLY:
        training, validation = latent_only(training, latent_ids), latent_only(validation, latent_ids)
    has_validation = validation is not None and validation.num_rows > 0
    tokenizer = AutoTokenizer.from_pretrained(model_dir, local_files_only=True, **NO_CODE)
    model = _load_model(model_dir, config)
    trains_latents = _trains_latents(config, latent_ids)
    kind = SFTTrainer
    if not config.loss_weights.are_equal_to_one:
        kind = weighted_trainer(config.loss_weights, _think_end_id(tokenizer))
    elif trains_latents:
        kind = _full_logits_trainer()
    trainer = kind(
        model=model,
        args=_arguments(config, checkpoint_dir, has_validation),
        train_dataset=_dataset(training),
        eval_dataset=_dataset(validation) if has_validation and validation is not None else None,
        processing_class=tokenizer,
        peft_config=_lora(config, latent_ids if trains_latents else ()) if config.method is TrainMethod.LORA else None,
        callbacks=[_progress_callback(progress)] if progress else None,
    )
    trainable = sum(parameter.numel() for parameter in trainer.model.parameters() if parameter.requires_grad)
    total = sum(parameter.numel() for parameter in trainer.model.parameters())
    resume = newest_checkpoint(checkpoint_dir)
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    best = trainer.state.best_metric
    latents_moved = trains_latents or config.method is TrainMethod.FULL
    _save(trainer.model, tokenizer, model_dir, out_dir, config, latents_moved)
    return TrainResult(
        curve=[{key: float(value) for key, value in entry.items()} for entry in trainer.state.log_history],
        best_eval_loss=float(best) if best is not None else None,
        trainable_parameters=trainable,
        total_parameters=total,
        resumed_from_step=_step_of(resume) if resume else 0,
    )


def newest_checkpoint(checkpoint_dir: Path) -> Path | None:
    """The newest checkpoint that was written completely (its trainer state is the last file written)."""
    whole = [path for path in checkpoint_dir.glob("checkpoint-*") if (path / "trainer_state.json").is_file()]
    return max(whole, key=_step_of, default=None)


def _step_of(checkpoint: Path) -> int:
    match = re.search(r"(\d+)$", checkpoint.name)
    return int(match.group(1)) if match else 0


def _load_model(model_dir: Path, config: TrainConfig) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    name = config.dtype
    if name == "auto":
        name = "bfloat16" if torch.cuda.is_available() else "float32"
    return AutoModelForCausalLM.from_pretrained(model_dir, dtype=getattr(torch, name), local_files_only=True, **SAFE)


def _dataset(table: pa.Table) -> Any:
    from datasets import Dataset

    return Dataset(table.select(["input_ids", "labels"]))


def _trains_latents(config: TrainConfig, latent_ids: Sequence[int]) -> bool:
    """Whether latent rows need training beside an adapter; full training moves every row anyway."""
    lora = config.method is TrainMethod.LORA
    return lora and bool(latent_ids) and config.latent_rows is LatentRows.TRAINABLE


def _full_logits_trainer() -> Any:
    """SFTTrainer without its fused head, which reads `lm_head.weight` and would miss the trained latent rows of it."""
    from transformers import Trainer
    from trl import SFTTrainer

    class FullLogitsTrainer(SFTTrainer):  # type: ignore[misc]
        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            inputs["use_cache"] = False
            return Trainer.compute_loss(self, model, inputs, *args, **kwargs)

    return FullLogitsTrainer


def _think_end_id(tokenizer: Any) -> int:
    family = chat_family(tokenizer)
    if family.think_end_id is None:
        raise InputError(
            "train.loss_weights: the model's tokenizer has no think tokens, so nothing parts reasoning from answer; "
            "leave all weights at 1"
        )
    return family.think_end_id


def _lora(config: TrainConfig, latent_ids: Sequence[int]) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=config.lora_rank,
        use_dora=config.lora_variant is LoraVariant.DORA,
        use_rslora=config.lora_variant is LoraVariant.RSLORA,
        lora_alpha=config.lora_alpha,
        target_modules="all-linear",
        trainable_token_indices={"embed_tokens": list(latent_ids)} if latent_ids else None,
    )


def _arguments(config: TrainConfig, checkpoint_dir: Path, has_validation: bool) -> Any:
    import torch
    from trl import SFTConfig

    devices = max(1, torch.cuda.device_count())
    accumulation, rest = divmod(config.batch_size, config.micro_batch_size * devices)
    if rest:
        raise InputError(
            f"train.batch_size: {config.batch_size} is not a multiple of micro_batch_size {config.micro_batch_size} "
            f"times {devices} devices"
        )
    saves = config.eval_every if has_validation else config.save_every
    return SFTConfig(
        output_dir=str(checkpoint_dir),
        max_steps=config.steps,
        per_device_train_batch_size=config.micro_batch_size,
        per_device_eval_batch_size=config.micro_batch_size,
        gradient_accumulation_steps=accumulation,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.schedule,
        warmup_steps=config.warmup_ratio,  # a float below 1 is a share of the steps
        weight_decay=config.weight_decay,
        max_length=None,
        packing=False,
        train_sampling_strategy="group_by_length" if config.batching == "by_length" else "random",
        eval_strategy="steps" if has_validation else "no",
        eval_steps=config.eval_every,
        save_strategy="steps",
        save_steps=saves,
        save_total_limit=2,
        load_best_model_at_end=has_validation,
        metric_for_best_model="eval_loss" if has_validation else None,
        greater_is_better=False if has_validation else None,
        gradient_checkpointing=config.gradient_checkpointing,
        bf16=False,
        use_cpu=not torch.cuda.is_available(),
        logging_steps=10,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        seed=config.seed,
        data_seed=config.seed,
    )


def _progress_callback(progress: Progress) -> Any:
    from transformers import TrainerCallback

    class Report(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            progress(state.global_step, state.max_steps)

    return Report()


def _save(model: Any, tokenizer: Any, model_dir: Path, out_dir: Path, config: TrainConfig, latents_moved: bool) -> None:
    import torch

    if config.method is TrainMethod.LORA:
        model.save_pretrained(out_dir / "adapter")
        settle_adapter(out_dir / "adapter")
        model = model.merge_and_unload()
    model.to(getattr(torch, config.save_dtype)).save_pretrained(out_dir / "model")
    tokenizer.save_pretrained(out_dir / "model")
    if (model_dir / "generation_config.json").is_file():
        shutil.copyfile(model_dir / "generation_config.json", out_dir / "model" / "generation_config.json")
    if (model_dir / FILE_NAME).is_file():
        vocabulary = DualVocabulary.load(model_dir)
        trained = vocabulary.latents_trained or latents_moved
        replace(vocabulary, latents_trained=trained).save(out_dir / "model")
