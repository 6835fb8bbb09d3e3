"""What every generation engine does: token ids in, token ids out, one seed per completion."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from latent_core.config.sampling import SamplingConfig

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Request:
    """One completion to draw; `constrained` applies the dual vocabulary's phases (ignored by a plain model)."""

    prompt_ids: tuple[int, ...]
    seed: int
    constrained: bool = True


@dataclass(frozen=True, slots=True)
class Generation:
    """Token ids as sampled, stop token included; `finish_reason` is "length" when the token limit cut it.

    `logprobs` (asked for by `SamplingConfig.logprobs`) has the natural log-probability of each token. Under
    `logprobs_of: model` it is that of the model alone: before temperature, top-k, top-p and the dual constraint. Under
    `sampler` it is that of the distribution that the token was drawn from: after all of these. Greedy decoding draws
    from none; it is then that of the model under the dual constraint, at temperature 1.
    """

    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    logprobs: tuple[float, ...] | None = None


Finished = Callable[[Mapping[int, Generation]], None]  # completions that ended together, by their requests' places


class Engine(Protocol):
    """A loaded model that completes prompts; results are in the order of the requests."""

    def generate(
        self, requests: Sequence[Request], sampling: SamplingConfig, finished: Finished | None = None
    ) -> list[Generation]: ...

    def close(self) -> None:
        """Free the model's memory."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """An engine that can keep what it computed of a sequence for prompts that go on from it. vLLM does so unasked."""

    def remembering(self, most_tokens: int) -> AbstractContextManager[None]: ...


@dataclass(frozen=True)
class Usage:
    """What a server counted; `cost` is in the currency of the configured prices."""

    prompt_tokens: int
    completion_tokens: int
    cost: float


@runtime_checkable
class Metered(Protocol):
    """An engine whose work somebody else counts."""

    @property
    def usage(self) -> Usage: ...


def item_seed(seed: int, question_id: str, sample_index: int) -> int:
    """A 63-bit seed of one completion: independent of batches, shards and workers."""
    digest = hashlib.sha256(f"{seed}/{question_id}/{sample_index}".encode()).digest()
    return int.from_bytes(digest[:8]) >> 1
