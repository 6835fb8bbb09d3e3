"""Parameters of collection: chains of thought of the base model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, RUNTIME, WIRING, StageConfig
from latent_core.config.prompting import Prompting
from latent_core.config.sampling import CollectSamplingConfig


class CollectConfig(StageConfig):
    """Chains of thought of the base model on the training split."""

    sampling: Annotated[CollectSamplingConfig, IDENTITY] = CollectSamplingConfig()
    questions: Annotated[int, WIRING, Field(ge=1)] = 7500
    """How many training problems; more of them keep the finished shards."""
    shard_questions: Annotated[int, WIRING, Field(ge=1)] = 250
    """Questions per shard: the unit that is retried and cached."""
    max_tokens_total: Annotated[int | None, RUNTIME, Field(ge=1)] = None
    """Start no further shard once this many tokens were generated, shards in the store included."""
    max_seconds: Annotated[float | None, RUNTIME, Field(gt=0)] = None
    """Start no further shard once the run is this old."""
    prompting: Annotated[Prompting, IDENTITY, OMITTED_AT_DEFAULT] = Prompting.RATIO
    """How the model is asked; chain_of_draft and sketch_of_thought show it three worked examples first."""

    @field_validator("prompting")
    @classmethod
    def _collection_names_no_ratio(cls, prompting: Prompting) -> Prompting:
        if prompting is Prompting.REDUCE:
            raise ValueError("collect.prompting: reduce needs a ratio, and collection has none; choose concise")
        return prompting
