"""Merging a LoRA adapter into its base, for engines and evaluations that want one model."""

from __future__ import annotations

import shutil
from pathlib import Path

from latent_core.atomic import atomic_folder
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
    with atomic_folder(target) as folder:
        merged.save_pretrained(folder)
        for path in base.iterdir():
            if path.is_file() and path.suffix != ".safetensors" and not (folder / path.name).exists():
                shutil.copyfile(path, folder / path.name)
        if (vocabulary := DualVocabulary.find(base)) is not None:
            vocabulary.save(folder)
