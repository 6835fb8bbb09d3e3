"""A model's weights before and after training: loaded in a compute type, given an adapter, merged and saved."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from latent_core.config.training import LatentRows, LoraVariant, TrainMethod
from latent_core.dual.initial import FILE_NAME as INITIAL_FILE
from latent_core.dual.vocabulary import DualVocabulary
from latent_core.loading import SAFE
from latent_core.models.family import SETTINGS_FILE
from latent_core.models.ratio_tokens import FILE_NAME as RATIO_TOKENS_FILE
from latent_core.models.ratio_tokens import RatioTokens
from latent_core.sft.adapter import settle_adapter


class TrainableParts(Protocol):
    """Which parameters a training moves, and in which types they are held."""

    @property
    def method(self) -> TrainMethod: ...
    @property
    def lora_rank(self) -> int: ...
    @property
    def lora_alpha(self) -> int: ...
    @property
    def lora_variant(self) -> LoraVariant: ...
    @property
    def latent_rows(self) -> LatentRows: ...
    @property
    def dtype(self) -> str: ...
    @property
    def save_dtype(self) -> str: ...


def load_model(model_dir: Path, parts: TrainableParts, **options: Any) -> Any:
    """The model in `model_dir`, its weights in the compute type; in float32 where all of them are trained.

    A step of 1e-5 is less than the distance between two neighbours in bfloat16, so that such weights would stand still.
    (PEFT holds an adapter in float32 by itself.)
    """
    import torch
    from transformers import AutoModelForCausalLM

    name = "float32" if parts.method is TrainMethod.FULL else compute_type(parts)
    return AutoModelForCausalLM.from_pretrained(
        model_dir, dtype=getattr(torch, name), local_files_only=True, **options, **SAFE
    )


def compute_type(parts: TrainableParts) -> str:
    """What `dtype` stands for here: auto is bfloat16 on a GPU and float32 on a CPU."""
    import torch

    if parts.dtype != "auto":
        return parts.dtype
    return "bfloat16" if torch.cuda.is_available() else "float32"


def is_mixed(parts: TrainableParts) -> bool:
    """Whether float32 weights are computed with in bfloat16."""
    return parts.method is TrainMethod.FULL and compute_type(parts) == "bfloat16"


def learning_rows(
    parts: TrainableParts,
    latent_ids: range,
    visible_ids: Sequence[int] = (),
    ratio_tokens: RatioTokens | None = None,
    *,
    tied: bool,
) -> dict[str, list[int]]:
    """The rows that learn beside an adapter, ascending, by table; none where all weights are trained.

    These are `visible_ids`, latent rows that are trainable, and the rows of ratio tokens always, since they mean
    nothing before. The rows of a tied head are the same. Those of an untied one stay, but for ratio tokens that the
    model shall write.
    """
    if parts.method is not TrainMethod.LORA:
        return {}
    new = [] if ratio_tokens is None else [*ratio_tokens.all_ids]
    latents = latent_ids if parts.latent_rows is LatentRows.TRAINABLE else ()
    rows = {"embed_tokens": sorted({*new, *visible_ids, *latents})}
    if ratio_tokens is not None and ratio_tokens.echoes and not tied:
        rows["lm_head"] = new
    return {table: ids for table, ids in rows.items() if ids}


def adapter_config(parts: TrainableParts, rows: dict[str, list[int]]) -> Any:
    """PEFT's configuration of the adapter, with the `rows` that learn; None where all weights are trained."""
    from peft import LoraConfig

    if parts.method is not TrainMethod.LORA:
        return None
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=parts.lora_rank,
        use_dora=parts.lora_variant is LoraVariant.DORA,
        use_rslora=parts.lora_variant is LoraVariant.RSLORA,
        lora_alpha=parts.lora_alpha,
        target_modules="all-linear",
        trainable_token_indices=rows or None,
    )


def parameters_of(model: Any) -> tuple[int, int]:
    """How many parameters learn, and how many there are."""
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(count for count, learns in counts if learns), sum(count for count, _ in counts)


def save_trained(
    model: Any, tokenizer: Any, parts: TrainableParts, model_dir: Path, out_dir: Path, rows: dict[str, list[int]]
) -> None:
    """Write the merged model to `out_dir/model` and, for LoRA, the adapter to `out_dir/adapter`.

    `rows` are those that learnt beside the adapter, by table.
    """
    import torch

    if parts.method is TrainMethod.LORA:
        model.save_pretrained(out_dir / "adapter")
        settle_adapter(out_dir / "adapter")
        # A GPU that trained these weights in bfloat16 need not have room for them in float32.
        model = model.to("cpu")
        if parts.save_dtype == "float32":
            model = model.float()  # before the sum is rounded to the base's type
        model = model.merge_and_unload()
    target = out_dir / "model"
    model.to(getattr(torch, parts.save_dtype)).save_pretrained(target)
    tokenizer.save_pretrained(target)
    for name in ("generation_config.json", SETTINGS_FILE, INITIAL_FILE, RATIO_TOKENS_FILE):
        if (model_dir / name).is_file():
            shutil.copyfile(model_dir / name, target / name)
    if (vocabulary := DualVocabulary.find(model_dir)) is not None:
        learnt = rows.get("embed_tokens", ())
        pairs = {*vocabulary.source_ids, *range(vocabulary.visible_size, vocabulary.size)}
        moved = parts.method is TrainMethod.FULL or not pairs.isdisjoint(learnt)  # copies are none if a source moves
        replace(vocabulary, latents_trained=vocabulary.latents_trained or moved).save(target)
