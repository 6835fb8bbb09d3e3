"""Merging a LoRA adapter into its base, for engines and evaluations that want one model."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from latent_core.dual.vocabulary import DualVocabulary
from latent_core.loading import SAFE


def merge_adapter(base: Path, adapter: Path, target: Path) -> None:
    """Write the merged model of `base` and `adapter` to `target`, which appears whole or not at all.

    The tokenizer, the generation settings and a dual vocabulary are the base's.
    """
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto", local_files_only=True, **SAFE)
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    merged.save_pretrained(partial)
    for path in base.iterdir():
        if path.is_file() and path.suffix != ".safetensors" and not (partial / path.name).exists():
            shutil.copyfile(path, partial / path.name)
    if (vocabulary := DualVocabulary.find(base)) is not None:
        vocabulary.save(partial)
    try:
        partial.replace(target)
    except OSError:
        if not target.is_dir():
            raise
        shutil.rmtree(partial)  # another process merged the same pair first
