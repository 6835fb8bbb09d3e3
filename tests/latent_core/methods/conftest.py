"""The tiny model of the training tests: its tokenizer is what methods need."""

from tests.latent_core.sft.conftest import dual, dual_dir, plain, plain_dir

__all__ = ["dual", "dual_dir", "plain", "plain_dir"]
