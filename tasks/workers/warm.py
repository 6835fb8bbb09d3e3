"""What a worker keeps from call to call beside its engine: the tokenizer of a model and the compressor.

Shards are small and many; what each would load again is time lost between them.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from latent_core.device_memory import release
from latent_core.models.readable import ReadableModel
from tasks.workers import engines

if TYPE_CHECKING:
    from latent_core.compress.baselines import Compressor
    from latent_core.compress.compressor import ScoringOptions


@lru_cache(maxsize=4)  # tokenizers are small; a run has a base model and its variants
def warm_readable(model_dir: Path, fingerprint: str) -> ReadableModel:
    """A model's tokenizer, family and vocabulary; `fingerprint` is its identity, since a directory may change."""
    return ReadableModel.load(model_dir)


@lru_cache(maxsize=1)
def warm_compressor(spec: str, fingerprint: str, options: ScoringOptions) -> Compressor:
    """What scores words, loaded unless the last one was the same."""
    from latent_core.compress.choice import open_compressor

    engines.make_room()
    return open_compressor(spec, options)


def cool_down() -> None:
    """Free the device for a stage that needs all of it, such as training."""
    engines.close_engine()
    warm_compressor.cache_clear()
    release()
