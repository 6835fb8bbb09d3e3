"""How completions are sampled, and by which engine."""

from __future__ import annotations

from enum import StrEnum
from importlib.util import find_spec
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from latent_core.addresses import holds_password
from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, RUNTIME, StageConfig


class LogprobsOf(StrEnum):
    """Whose log-probabilities are kept of sampled tokens."""

    MODEL = "model"
    SAMPLER = "sampler"


class VllmConfig(StageConfig):
    """What is passed on to vLLM's engine: how fast and in how much memory it runs, never what it says."""

    gpu_memory_utilization: Annotated[float | None, RUNTIME, Field(gt=0, le=1)] = None
    """Share of a GPU's memory to reserve; unset is vLLM's own default."""
    max_model_len: Annotated[int | None, RUNTIME, Field(ge=8)] = None
    """Longest sequence to reserve for; unset is as long as the prompts need. Too short is an error, never a cut."""
    max_num_seqs: Annotated[int | None, RUNTIME, Field(ge=1)] = None
    """Sequences decoded at once; unset is vLLM's default on a GPU and 128 on a CPU."""
    max_num_batched_tokens: Annotated[int | None, RUNTIME, Field(ge=32)] = None
    """Tokens of one step; longer prompts are prefilled in chunks."""
    tensor_parallel_size: Annotated[int | None, RUNTIME, Field(ge=1)] = None
    """GPUs that one model is split over."""
    enforce_eager: Annotated[bool | None, RUNTIME] = None
    """Neither compile nor capture CUDA graphs: a faster start, slower steps. A CPU engine always does."""
    num_gpu_blocks_override: Annotated[int | None, RUNTIME, Field(ge=1)] = None
    """Size of the key-value cache in blocks, in place of what fits the memory."""

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `vllm.LLM` that are set."""
        return self.model_dump(exclude_none=True)


class OpenAiConfig(StageConfig):
    """A server with OpenAI's completions endpoint; its key is read from the environment variable OPENAI_API_KEY."""

    served_model: Annotated[str, IDENTITY] = ""
    """The model's name at the server; `model` stays the one whose tokenizer and chat template are used."""
    base_url: Annotated[str, RUNTIME] = "http://127.0.0.1:8000/v1"
    vllm_extensions: Annotated[bool, RUNTIME] = True
    """Use vLLM's additions: sampled token ids in the answer, stop ids, top_k, the dual constraint per request."""
    concurrency: Annotated[int, RUNTIME, Field(ge=1, le=4096)] = 64
    """Requests in flight at once."""
    timeout_seconds: Annotated[float, RUNTIME, Field(gt=0)] = 600.0
    retries: Annotated[int, RUNTIME, Field(ge=0, le=20)] = 4
    """How often a request is tried again after a failure of transport or server."""
    retry_seconds: Annotated[float, RUNTIME, Field(ge=0)] = 1.0
    """First pause; each later one is twice as long."""
    prompt_price: Annotated[float, RUNTIME, Field(ge=0)] = 0.0
    """Price of a million prompt tokens, in any currency; the manifest records the cost."""
    completion_price: Annotated[float, RUNTIME, Field(ge=0)] = 0.0
    """Price of a million completion tokens."""

    @field_validator("base_url")
    @classmethod
    def _has_no_password(cls, url: str) -> str:
        if holds_password(url):  # parameters are shown and recorded in many places
            raise ValueError("leave the password out; a key is read from the environment variable OPENAI_API_KEY")
        return url


class SamplingConfig(StageConfig):
    """How completions are drawn; temperature 0 is greedy."""

    temperature: Annotated[float, IDENTITY, Field(ge=0, le=5)] = 0.0
    top_p: Annotated[float, IDENTITY, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, IDENTITY, Field(ge=0)] = 0
    """0 keeps all tokens."""
    max_new_tokens: Annotated[int, IDENTITY, Field(ge=1)] = 4096
    samples: Annotated[int, IDENTITY, Field(ge=1)] = 1
    """Completions per question."""
    seed: Annotated[int, IDENTITY, Field(ge=0)] = 42
    """Every completion has a seed of its own, made from this, the question's id and the sample's number."""
    logprobs: Annotated[bool, IDENTITY, OMITTED_AT_DEFAULT] = False
    """Also keep how likely each sampled token was, in a column `token_logprobs`."""
    logprobs_of: Annotated[LogprobsOf, IDENTITY, OMITTED_AT_DEFAULT] = LogprobsOf.MODEL
    """model is how likely the model itself found a token; sampler is how likely it was to be drawn, after the dual
    constraint, temperature, top_k and top_p."""
    dtype: Annotated[Literal["auto", "float32", "bfloat16", "float16"], IDENTITY] = "auto"
    """auto is float32 on a CPU, and on a GPU the checkpoint's type, with bfloat16 for a checkpoint in float32."""
    engine: Annotated[Literal["transformers", "vllm", "openai", "auto"], IDENTITY] = "transformers"
    """auto becomes vllm where that is installed and a CUDA device is there, else transformers, when the run starts."""
    batch_tokens: Annotated[int, RUNTIME, Field(ge=1)] = 32_768
    """transformers: upper bound of (prompt + new) tokens held at once, sets the batch size."""
    vllm: Annotated[VllmConfig, RUNTIME] = VllmConfig()
    """vllm: its engine's arguments."""
    openai: Annotated[OpenAiConfig, IDENTITY] = OpenAiConfig()
    """openai: the server."""

    def identity(self) -> dict[str, Any]:
        """What is said of a server counts only where one is asked."""
        fields = super().identity()
        if self.engine != "openai":
            del fields["openai"]
        return fields

    @field_validator("engine")
    @classmethod
    def _resolve_engine(cls, engine: str) -> str:
        # Resolved where the parameters are read, before any fingerprint: what is hashed is the engine that ran.
        return resolve_engine() if engine == "auto" else engine

    @model_validator(mode="after")
    def _server_needs_a_model(self) -> SamplingConfig:
        if self.engine == "openai" and not self.openai.served_model:
            raise ValueError("openai.served_model: is empty; say what the server calls its model")
        return self

    @model_validator(mode="after")
    def _logprobs_need_sampled_ids(self) -> SamplingConfig:
        if self.logprobs and self.engine == "openai" and not self.openai.vllm_extensions:
            raise ValueError("logprobs: a server without openai.vllm_extensions does not say which tokens it sampled")
        return self

    @model_validator(mode="after")
    def _logprobs_of_needs_logprobs(self) -> SamplingConfig:
        if self.logprobs_of is not LogprobsOf.MODEL and not self.logprobs:
            raise ValueError("logprobs_of: is set, but no log-probabilities are kept; set logprobs: true too")
        return self

    @model_validator(mode="after")
    def _samples_need_temperature(self) -> SamplingConfig:
        if self.samples > 1 and self.temperature == 0:
            raise ValueError("samples: greedy decoding gives the same completion every time; set temperature above 0")
        return self


class CollectSamplingConfig(SamplingConfig):
    """TokenSkip's sampling for collection; the paper itself uses one greedy sample."""

    temperature: Annotated[float, IDENTITY, Field(ge=0, le=5)] = 0.7
    samples: Annotated[int, IDENTITY, Field(ge=1)] = 8
    """Completions per question."""


def resolve_engine() -> str:
    """The engine that `auto` stands for on this machine."""
    if find_spec("vllm") is None:
        return "transformers"
    import torch

    return "vllm" if torch.cuda.device_count() > 0 else "transformers"
