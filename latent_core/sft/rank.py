"""The work of one training process: alone in the caller's process, or one of several that `launch` started."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latent_core.config.training import Layout, LossSupport, TrainConfig, VisibleRows
from latent_core.dual.mirrors import mirrored_ids
from latent_core.errors import InputError
from latent_core.loading import NO_CODE
from latent_core.models.family import open_family
from latent_core.models.ratio_tokens import RatioTokens
from latent_core.sft.checkpoints import newest_checkpoint, step_of
from latent_core.sft.phase_loss import PhaseLoss, machine_of
from latent_core.sft.plan import evaluation_batches, micro_batch_size, micro_batches, steps_of
from latent_core.sft.planned_trainer import Head, planned_trainer
from latent_core.sft.token_rows import PaddedCollator, TokenRows
from latent_core.sft.training_log import log_callback
from latent_core.sft.weights import (
    adapter_config,
    compute_type,
    is_mixed,
    learning_rows,
    load_model,
    parameters_of,
    save_trained,
)

if TYPE_CHECKING:
    import pyarrow as pa

Progress = Callable[[int, int], None]  # (steps done, steps in all)


@dataclass(frozen=True)
class Job:
    """All that a training process needs; every process of a group gets the same."""

    model_dir: Path
    training: pa.Table
    validation: pa.Table | None
    config: TrainConfig
    out_dir: Path
    checkpoint_dir: Path
    latent_ids: range


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


def fit(job: Job, progress: Progress | None = None) -> TrainResult | None:
    """Train from the newest checkpoint on, and save what came of it; None in all processes of a group but the first."""
    import torch.distributed
    from transformers import AutoTokenizer
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    from latent_core.likelihood import require_own_logits
    from latent_core.likelihood.hidden_states import let_through

    config = job.config
    tokenizer = AutoTokenizer.from_pretrained(job.model_dir, local_files_only=True, **NO_CODE)
    packed = resolve_layout(config) is Layout.PACKED
    flash = {"attn_implementation": "flash_attention_2"} if packed and _takes_flash_attention(config) else {}
    model = load_model(job.model_dir, config, **flash)
    has_validation = job.validation is not None and job.validation.num_rows > 0
    tied = bool(model.config.tie_word_embeddings)
    args = _arguments(config, job.checkpoint_dir, has_validation)
    place = {"rank": args.process_index, "processes": args.world_size}
    lengths = _lengths(job.training)
    steps = steps_of(lengths, config)
    visible = mirrored_ids(job.model_dir) if config.visible_rows is VisibleRows.TRAINABLE else ()
    rows = learning_rows(config, job.latent_ids, visible, RatioTokens.find(job.model_dir), tied=tied)
    kind = planned_trainer(
        _head(config, bool(rows)),
        config.loss_weights,
        None if config.loss_weights.are_equal_to_one else think_end_id(job.model_dir),
        micro_batches(steps, lengths, config, **place),
        evaluation_batches(_lengths(job.validation), config.micro_batch_size, **place) if has_validation else [],
        TokenRows(job.training),
        PhaseLoss(machine_of(job.model_dir)) if config.support is LossSupport.PHASE else None,
    )
    padding_id = _padding_id(tokenizer)
    collator: Any = PaddedCollator(padding_id)
    if packed:
        collator = DataCollatorForLanguageModeling(padding_id, padding_free=True)
    trainer = kind(
        model=model,
        args=args,
        data_collator=collator,
        train_dataset=_dataset(job.training.slice(0, 1)),  # what is read are the planned batches of `TokenRows`
        eval_dataset=_dataset(job.validation) if has_validation else None,
        processing_class=tokenizer,
        peft_config=adapter_config(config, rows),
        callbacks=[
            checkpoint_callback(config.save_every, args.save_steps),
            log_callback(job.checkpoint_dir),
            progress_callback(progress),
        ],
    )
    if config.support is LossSupport.PHASE:
        require_own_logits(trainer.model)
        let_through(trainer.model)
    trainable, total = parameters_of(trainer.model)
    resume = newest_checkpoint(job.checkpoint_dir)
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    if torch.distributed.is_initialized():  # here, where all meet: NCCL's end may wait for all, and saving takes long
        torch.distributed.destroy_process_group()
    if args.process_index > 0:
        return None
    best = trainer.state.best_metric
    save_trained(trainer.model, tokenizer, config, job.model_dir, job.out_dir, rows)
    return TrainResult(
        curve=[{key: float(value) for key, value in entry.items()} for entry in trainer.state.log_history],
        best_eval_loss=float(best) if best is not None else None,
        trainable_parameters=trainable,
        total_parameters=total,
        resumed_from_step=step_of(resume) if resume else 0,
    )


def resolve_layout(config: TrainConfig) -> Layout:
    """What `auto` stands for on this machine. Raises InputError for loss weights on a packed pass."""
    if not config.loss_weights.are_equal_to_one:  # they are told apart row by row
        if config.layout is Layout.PACKED:
            raise InputError("train.layout: packed knows no loss_weights; leave layout at auto, or all weights at 1")
        return Layout.PADDED
    if config.layout is not Layout.AUTO:
        return config.layout
    return Layout.PACKED if _takes_flash_attention(config) else Layout.PADDED


def think_end_id(model_dir: Path) -> int:
    """Id of the closing think token. Raises InputError for a model without, which cannot have loss weights."""
    _, family = open_family(model_dir)
    if family.think_end_id is None:
        raise InputError(
            "train.loss_weights: the model does not think between marks, so nothing parts reasoning from answer; "
            "leave all weights at 1"
        )
    return family.think_end_id


def _takes_flash_attention(config: TrainConfig) -> bool:
    """It is installed, and passes are not in float32, which its kernels refuse."""
    return _has_flash_attention() and compute_type(config) != "float32"


def _has_flash_attention() -> bool:
    import torch
    from transformers.utils import is_flash_attn_2_available

    return torch.cuda.is_available() and is_flash_attn_2_available()


def _head(config: TrainConfig, rows_learn: bool) -> Head:
    if config.support is LossSupport.PHASE:
        return Head.PHASE
    if not config.loss_weights.are_equal_to_one:
        return Head.WEIGHTED
    return Head.FULL_LOGITS if rows_learn else Head.FUSED


def _padding_id(tokenizer: Any) -> int:
    return int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)


def _lengths(table: pa.Table) -> list[int]:
    import pyarrow.compute as pc

    lengths: list[int] = pc.list_value_length(table["input_ids"]).to_pylist()
    return lengths


def _dataset(table: pa.Table) -> Any:
    """Rows as the trainer takes them."""
    from datasets import Dataset

    return Dataset(table.select(["input_ids", "labels"]))


def _arguments(config: TrainConfig, checkpoint_dir: Path, has_validation: bool) -> Any:
    import torch
    from trl import SFTConfig

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    size = micro_batch_size(config, processes)
    on_gpu = torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(checkpoint_dir),
        max_steps=config.steps,
        per_device_train_batch_size=size,
        per_device_eval_batch_size=config.micro_batch_size,
        gradient_accumulation_steps=config.batch_size // (size * processes),
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.schedule,
        warmup_steps=config.warmup_ratio,  # a float below 1 is a share of the steps
        weight_decay=config.weight_decay,
        max_length=None,
        packing=False,
        eval_strategy="steps" if has_validation else "no",
        eval_steps=config.eval_every,
        save_strategy="steps",
        # The best checkpoint is one of those that were evaluated; the others come from `checkpoint_callback`.
        save_steps=config.eval_every if has_validation else config.save_every,
        save_total_limit=2,
        load_best_model_at_end=has_validation,
        metric_for_best_model="eval_loss" if has_validation else None,
        greater_is_better=False if has_validation else None,
        gradient_checkpointing=config.gradient_checkpointing,
        bf16=is_mixed(config),
        use_cpu=not on_gpu,
        ddp_backend=None if on_gpu or processes == 1 else "gloo",
        ddp_find_unused_parameters=False,
        logging_steps=10,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=on_gpu,
        seed=config.seed,
        data_seed=config.seed,
    )


def checkpoint_callback(*every: int) -> Any:
    """Saves a checkpoint whenever so many steps are done, for each of the numbers, whatever the Trainer itself saves.

    A logged mean of losses ends at every checkpoint, so that none spans an interruption.
    """
    from transformers import TrainerCallback

    class Save(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if any(state.global_step % steps == 0 for steps in every):
                control.should_save = control.should_log = True
            elif state.global_step == state.max_steps:
                control.should_log = True

    return Save()


def progress_callback(progress: Progress | None) -> Any:
    """Reports the steps done."""
    from transformers import TrainerCallback

    class Report(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if progress is not None:
                progress(state.global_step, state.max_steps)

    return Report()
