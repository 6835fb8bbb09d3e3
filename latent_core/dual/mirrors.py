"""The visible rows of any model that a full copy would mirror: what can learn in their place, row for row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from latent_core.config.dual import LatentMode
from latent_core.dual.selection import select_latents
from latent_core.dual.storage import eos_ids_of
from latent_core.dual.tensor_rows import find_tables
from latent_core.dual.think_tokens import ThinkMissing, choose_think_tokens
from latent_core.dual.vocabulary import DualVocabulary
from latent_core.loading import NO_CODE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def mirrored_ids(model_dir: Path) -> tuple[int, ...]:
    """Ids of the embedding rows that a full copy of this model mirrors, ascending; of a dual model, its visible ones.

    Left out, as there: think marks, end-of-sequence, special and turn tokens, and rows that stand for no token. Raises
    `InputError` where the weights' embedding cannot be found.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_dir, **NO_CODE)
    vocabulary = DualVocabulary.find(model_dir)
    rows = find_tables(model_dir).embedding.rows if vocabulary is None else vocabulary.visible_size
    # Marks that the base lacks would get rows of their own beside those that there are: none of these is left out.
    think = choose_think_tokens(tokenizer, ThinkMissing.ADD)
    chosen = select_latents(tokenizer, rows, end_ids(model_dir, tokenizer), think, mode=LatentMode.FULL_COPY)
    return chosen.source_ids


def end_ids(model_dir: Path, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The end-of-sequence ids that a model's files and its tokenizer name, ascending."""
    own = () if tokenizer.eos_token_id is None else (int(tokenizer.eos_token_id),)
    return tuple(sorted({*eos_ids_of(model_dir), *own}))
