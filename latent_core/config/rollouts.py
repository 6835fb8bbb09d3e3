"""Parameters of drawing rollouts from a policy in training: by which engine, and how its error is corrected."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, RUNTIME, StageConfig
from latent_core.config.sampling import LogprobsOf, SamplingConfig, VllmConfig, resolve_engine


class RolloutEngineConfig(StageConfig):
    """What rollouts of one turn and of several have in common."""

    temperature: Annotated[float, IDENTITY, Field(gt=0, le=5)] = 1.0
    max_new_tokens: Annotated[int, IDENTITY, Field(ge=1)] = 1024
    engine: Annotated[Literal["transformers", "vllm", "auto"], IDENTITY, OMITTED_AT_DEFAULT] = "transformers"
    """transformers samples with the model in training itself. vllm is given its weights after every step. auto becomes
    vllm where that is installed and a CUDA device is there, else transformers, when the run starts."""
    importance_cap: Annotated[float | None, IDENTITY, OMITTED_AT_DEFAULT, Field(ge=1)] = 2.0
    """vllm: a token's advantage is multiplied by its probability under the trainer over that under the sampler, at most
    by this. null corrects nothing."""
    batch_tokens: Annotated[int, RUNTIME, Field(ge=1)] = 32_768
    """transformers: upper bound of (prompt + new) tokens held at once while generating."""
    vllm: Annotated[VllmConfig, RUNTIME] = VllmConfig()
    """vllm: its engine's arguments. On a GPU it reserves 0.4 of the memory unless told otherwise."""

    @property
    def is_corrected(self) -> bool:
        """Whether the difference between sampler and trainer weights what is learned."""
        return self.correction_cap is not None

    @property
    def correction_cap(self) -> float | None:
        """`importance_cap` where there is something to correct, else None."""
        return self.importance_cap if self.engine == "vllm" else None

    def sampling(self, seed: int, samples: int = 1, *, logprobs: bool) -> SamplingConfig:
        """How an engine is to draw; `logprobs` keeps the log-probabilities of the distribution that it draws from."""
        return SamplingConfig(
            temperature=self.temperature,
            samples=samples,
            max_new_tokens=self.max_new_tokens,
            seed=seed,
            logprobs=logprobs,
            logprobs_of=LogprobsOf.SAMPLER if logprobs else LogprobsOf.MODEL,
            engine=self.engine,
            batch_tokens=self.batch_tokens,
            vllm=self.vllm,
        )

    def check_processes(self, section: str, processes: int) -> None:
        """Raises ValueError, naming the field, where several processes of a training would each start vLLM."""
        if self.engine == "vllm" and processes > 1:
            raise ValueError(
                f"{section}.processes: {processes} cannot share a step whose rollouts vLLM draws, since it takes the "
                f"weights of one process; set {section}.rollout.engine to transformers, or processes to 1"
            )

    @field_validator("engine")
    @classmethod
    def _resolve_engine(cls, engine: str) -> str:
        return resolve_engine() if engine == "auto" else engine

    @model_validator(mode="after")
    def _cap_needs_a_sampler_apart(self) -> RolloutEngineConfig:
        if self.engine != "vllm" and self.importance_cap != type(self).model_fields["importance_cap"].default:
            raise ValueError(
                f"importance_cap: {self.engine} samples with the model in training, so there is nothing to "
                "correct; leave it out, or set engine to vllm"
            )
        return self

    @model_validator(mode="after")
    def _weights_stay_in_one_process(self) -> RolloutEngineConfig:
        if (self.vllm.tensor_parallel_size or 1) > 1:
            raise ValueError(
                "vllm.tensor_parallel_size: weights are handed over within one process, on one device; leave it out"
            )
        return self
