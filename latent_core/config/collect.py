"""Parameters of collection: chains of thought of the base model, or such as are there already."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, RUNTIME, WIRING, StageConfig
from latent_core.config.chains import FILE_PREFIX, HUB_PREFIX, MODEL, ChainsConfig
from latent_core.config.prompting import Prompting
from latent_core.config.sampling import CollectSamplingConfig


class CollectConfig(StageConfig):
    """Chains of thought to learn from: of the base model on the training split, or from elsewhere."""

    source: Annotated[str, WIRING] = MODEL
    """model samples them; file:PATH (JSONL or Parquet, also a folder or a pattern) and hub:NAME[@REVISION] read chains
    of thought that are there already, as `chains` says. Then nothing is sampled, and what is said of questions,
    sampling and limits is not used."""
    chains: Annotated[ChainsConfig, WIRING] = ChainsConfig()
    """How the chains of thought of a file or data set are read."""
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

    @property
    def samples_model(self) -> bool:
        """Whether the base model is asked."""
        return self.source == MODEL

    @field_validator("source")
    @classmethod
    def _source_is_known(cls, source: str) -> str:
        prefixed = source.startswith((FILE_PREFIX, HUB_PREFIX)) and source not in (FILE_PREFIX, HUB_PREFIX)
        if source == MODEL or prefixed:
            return source
        fix = f"write file:{source}" if source.endswith((".jsonl", ".json", ".parquet")) else "give one of these"
        raise ValueError(f"{source!r} is none of model, file:PATH, hub:NAME[@REVISION]; {fix}")

    @field_validator("prompting")
    @classmethod
    def _collection_names_no_ratio(cls, prompting: Prompting) -> Prompting:
        if prompting is Prompting.REDUCE:
            raise ValueError("collect.prompting: reduce needs a ratio, and collection has none; choose concise")
        return prompting

    @model_validator(mode="after")
    def _chains_have_a_source(self) -> CollectConfig:
        if self.samples_model and self.chains != ChainsConfig():
            raise ValueError("chains: says how a table is read, and source is model; give file:PATH or hub:NAME")
        if self.source.startswith(FILE_PREFIX):
            for name in ("subset", "split"):
                if getattr(self.chains, name) != ChainsConfig.model_fields[name].default:
                    raise ValueError(f"chains.{name}: is of data sets of the hub; leave it unset for file:PATH")
        return self
