"""Generation with transformers: left padding, batches by length, seeded sampling, and the dual constraint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from latent_core.config.sampling import LogprobsOf, SamplingConfig
from latent_core.device_memory import release
from latent_core.dual import DualVocabulary
from latent_core.dual.constraint import PhaseMachine
from latent_core.dual.storage import read_json
from latent_core.dual.transformers_constraint import DualLogitsProcessor
from latent_core.errors import InputError
from latent_core.generate.batch_cache import batch_cache
from latent_core.generate.engine import Finished, Generation, Request
from latent_core.generate.prefix_cache import PrefixCache, can_go_on
from latent_core.generate.sampled_logprobs import SampledLogprobs
from latent_core.generate.seeded_sampling import SeededGumbel
from latent_core.generate.segments import completed
from latent_core.loading import SAFE
from latent_core.models.family import open_family


class TransformersEngine:
    """A causal language model in memory, on the first GPU if there is one."""

    def __init__(self, model_dir: Path, dtype: str = "auto") -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if dtype == "auto":
            dtype = _auto_dtype(model_dir, device)
        model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=dtype, local_files_only=True, **SAFE)
        self._serve(model.to(device).eval(), model_dir)

    @classmethod
    def around(cls, model: Any, model_dir: Path) -> TransformersEngine:
        """Complete with a model that somebody else holds, such as one in training; the rest is read in `model_dir`."""
        engine = cls.__new__(cls)
        engine._serve(model, model_dir)
        return engine

    def _serve(self, model: Any, model_dir: Path) -> None:
        self.model: Any = model
        self.device = model.device.type
        _, family = open_family(model_dir)
        self._prefixes: PrefixCache | None = None
        self._stop_ids = family.stop_ids
        self._pad_id = family.pad_id
        self._context = int(getattr(self.model.config, "max_position_embeddings", 1 << 30))
        vocabulary = DualVocabulary.find(model_dir)
        self._machine = None if vocabulary is None else PhaseMachine(vocabulary, stop_ids=self._stop_ids)

    def generate(
        self, requests: Sequence[Request], sampling: SamplingConfig, finished: Finished | None = None
    ) -> list[Generation]:
        """Complete every request. Raises InputError when a prompt leaves no room in the model's context."""
        for request in requests:
            self._check_room(request)
        results: dict[int, Generation] = {}
        for batch in _batches(requests, sampling):
            ended: dict[int, Generation] = {}
            for found in self._complete([requests[index] for index in batch], sampling):
                ended |= {batch[place]: generation for place, generation in found.items()}
            results |= ended
            if finished:
                finished(ended)
        return [results[index] for index in range(len(requests))]

    @contextmanager
    def remembering(self, most_tokens: int) -> Iterator[None]:
        """Inside the block the states of up to `most_tokens` tokens are kept; weights must stay as they are.

        A model with a cache of its own kind reads every prompt anew.
        """
        self._prefixes = PrefixCache(most_tokens) if can_go_on(self.model) else None
        try:
            yield
        finally:
            self._prefixes = None

    @torch.inference_mode()
    def stream(self, request: Request, sampling: SamplingConfig) -> Iterator[int]:
        """The same completion as `generate`'s, id by id, stop token included; a reader that leaves early costs nothing.

        A loop of its own, because transformers' `generate` can only push tokens from another thread, which would have
        to be told to stop. Raises InputError as `generate` does.
        """
        self._check_room(request)
        ids = torch.tensor([request.prompt_ids], device=self.device)
        width = ids.shape[1]
        processors = self._processors([request], sampling, width)
        unread, cache = ids, batch_cache(self.model, width + sampling.max_new_tokens)
        for _ in range(min(sampling.max_new_tokens, self._context - width)):
            output = self.model(input_ids=unread, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache = output.past_key_values
            scores = processors(ids, output.logits[:, -1].float())
            unread = scores.argmax(dim=-1, keepdim=True)
            ids = torch.cat([ids, unread], dim=1)
            token = int(unread)
            yield token
            if token in self._stop_ids:
                return

    def close(self) -> None:
        """Free the model's memory; the engine is of no use afterwards."""
        self.model = None
        release()

    def _check_room(self, request: Request) -> None:
        if len(request.prompt_ids) >= self._context:
            raise InputError(
                f"model: a prompt of {len(request.prompt_ids)} tokens does not fit its context of {self._context}"
            )

    @torch.inference_mode()
    def _complete(self, batch: Sequence[Request], sampling: SamplingConfig) -> Iterator[Mapping[int, Generation]]:
        """The batch's completions by their places in it, those that end together at once."""
        width = max(len(request.prompt_ids) for request in batch)
        input_ids = torch.full((len(batch), width), self._pad_id, dtype=torch.long)
        mask = torch.zeros((len(batch), width), dtype=torch.long)
        for row, request in enumerate(batch):
            size = len(request.prompt_ids)
            input_ids[row, width - size :] = torch.tensor(request.prompt_ids)
            mask[row, width - size :] = 1
        yield from completed(
            self.model,
            input_ids.to(self.device),
            mask.to(self.device),
            lambda places, watch: self._processors([batch[place] for place in places], sampling, width, watch),
            limits=[min(sampling.max_new_tokens, self._context - len(request.prompt_ids)) for request in batch],
            stop_ids=self._stop_ids,
            pad_id=self._pad_id,
            logprobs=sampling.logprobs,
            prefixes=self._prefixes,
        )

    def _processors(
        self, batch: Sequence[Request], sampling: SamplingConfig, width: int, watch: SampledLogprobs | None = None
    ) -> LogitsProcessorList:
        processors = LogitsProcessorList()
        if watch is not None and sampling.logprobs_of is LogprobsOf.MODEL:
            processors.append(watch)
        if self._machine is not None:
            rows = [request.constrained for request in batch]
            processors.append(DualLogitsProcessor(self._machine, dual_rows=rows))
        if sampling.temperature > 0:
            processors.append(TemperatureLogitsWarper(sampling.temperature))
            if sampling.top_k > 0:
                processors.append(TopKLogitsWarper(sampling.top_k))
            if sampling.top_p < 1:
                processors.append(TopPLogitsWarper(sampling.top_p))
        if watch is not None and sampling.logprobs_of is LogprobsOf.SAMPLER:
            processors.append(watch)
        if sampling.temperature > 0:
            processors.append(SeededGumbel([request.seed for request in batch], width))
        return processors


def _auto_dtype(model_dir: Path, device: str) -> str:
    """The type that `auto` stands for: on a GPU the checkpoint's, but bfloat16 for one in float32, as vLLM has it.

    Models are often saved in float32 for the sake of their last bits; a GPU reads those several times more slowly. On
    most CPUs it is bfloat16 that is slow, since it is emulated.
    """
    if device == "cpu":
        return "float32"
    config = read_json(model_dir / "config.json")
    stored = config.get("dtype") or config.get("torch_dtype") or "float32"
    return "bfloat16" if stored == "float32" else "auto"


def _batches(requests: Sequence[Request], sampling: SamplingConfig) -> Iterator[list[int]]:
    """Indices by prompt length, longest first, so that the largest batch is met at once and little is padded."""
    order = sorted(range(len(requests)), key=lambda index: -len(requests[index].prompt_ids))
    batch: list[int] = []
    for index in order:
        longest = len(requests[batch[0]].prompt_ids) if batch else 0
        if batch and (len(batch) + 1) * (longest + sampling.max_new_tokens) > sampling.batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
