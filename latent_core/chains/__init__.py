"""Chains of thought that somebody else has written: read from files and data sets, accounted for row by row, graded."""

from latent_core.chains.grading import chain_samples
from latent_core.chains.reading import ChainReader, LateChains, chain_schema
from latent_core.chains.source import ChainSource, open_source

__all__ = ["ChainReader", "ChainSource", "LateChains", "chain_samples", "chain_schema", "open_source"]
