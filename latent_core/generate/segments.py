"""A batch generated in segments: `generate` stops when enough rows have ended, and goes on without them.

On a CPU a step costs about as much as it has rows, so a row that has ended would cost until the longest one ends.
A row's tokens do not depend on the rows beside it, up to float noise, so its completion is the same. LongRoPE is an
exception: it turns all rows by the factors that the longest one asks for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from latent_core.generate.batch_cache import batch_cache
from latent_core.generate.engine import Generation
from latent_core.generate.prefix_cache import PrefixCache
from latent_core.generate.sampled_logprobs import SampledLogprobs

# Share of its rows that ends a segment. With latent-mini, 1/8 made 3 % more tokens a CPU second than 1/4, and 1/16 no
# more than 1/8: a segment's start costs a few steps' worth (bench/batch_cache.py).
ENDED_SHARE = 1 / 8

# For the rows at these places of the batch; with the watch, if there is one, in its place.
Processors = Callable[[Sequence[int], SampledLogprobs | None], LogitsProcessorList]


def completed(
    model: Any,
    ids: torch.Tensor,
    mask: torch.Tensor,
    processors: Processors,
    *,
    limits: Sequence[int],
    stop_ids: Sequence[int],
    pad_id: int,
    logprobs: bool,
    prefixes: PrefixCache | None = None,
) -> Iterator[Mapping[int, Generation]]:
    """Complete a batch greedily under `processors`; yields the rows that have ended, by their places, as they end.

    `ids` and `mask` are (rows, width), padded on the left; `limits` are the most new tokens of each row, at least 1. No
    row is computed beyond its own limit, where its context may end: a segment ends at the nearest one. A model that
    keeps its own cache is completed in one segment, or in one a limit, each of which reads its rows anew. The caller
    disables gradients. What `prefixes` has kept of the prompts is not computed again, and completed rows are kept there
    too; the model must be one that `can_go_on` from them.
    """
    width = ids.shape[1]
    cache = batch_cache(model, width + max(limits))
    if prefixes is not None:
        assert cache is not None
        prefixes.fill(model, ids, mask, cache)
    places = list(range(len(ids)))
    found = torch.empty(len(ids), 0)
    while places:
        watch = SampledLogprobs() if logprobs else None
        ended = EndedRows(stop_ids, share=1.0 if cache is None else ENDED_SHARE)
        config = GenerationConfig(
            max_new_tokens=min(limits[place] for place in places) - (ids.shape[1] - width),
            do_sample=False,
            eos_token_id=list(stop_ids),
            pad_token_id=pad_id,
        )
        with _without_own_defaults(model), _without_reminder():
            output = model.generate(
                input_ids=ids,
                attention_mask=mask,
                generation_config=config,
                logits_processor=processors(places, watch),
                stopping_criteria=StoppingCriteriaList([ended]),
                **({} if cache is None else {"past_key_values": cache}),
            )
        if watch is not None:
            found = torch.cat([found, watch.of(output)], dim=1)
        rows = output[:, width:].tolist()
        is_full = torch.tensor([len(rows[0]) >= limits[place] for place in places], device=ended.rows.device)
        is_done = ended.rows | is_full
        done = {
            row: _cut(rows[row], stop_ids, found[row].tolist() if logprobs else None)
            for row in is_done.nonzero()[:, 0].tolist()
        }
        if prefixes is not None:
            assert cache is not None
            for row, generation in done.items():
                # The last id was sampled and not read, so it has no states yet.
                start, stop = int(mask[row].argmax()), width + len(generation.token_ids) - 1
                prefixes.keep(tuple(output[row, start:stop].tolist()), cache, row, start)
        yield {places[row]: generation for row, generation in done.items()}
        going = (~is_done).nonzero()[:, 0]
        if len(going) == 0:
            return
        mask = torch.cat([mask, mask.new_ones(len(ids), output.shape[1] - ids.shape[1])], dim=1)[going]
        ids, found = output[going], found[going.cpu()] if logprobs else found
        places = [places[row] for row in going.tolist()]
        if cache is not None:
            cache.batch_select_indices(going)


class EndedRows(StoppingCriteria):  # type: ignore[misc]  # transformers is untyped here
    """Stops all rows once at least `share` of them have ended; `rows` says which, a bool tensor (rows,)."""

    def __init__(self, stop_ids: Sequence[int], share: float) -> None:
        self._stop_ids = torch.tensor(list(stop_ids), dtype=torch.long)
        self._share = share
        self.rows = torch.empty(0, dtype=torch.bool)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        self._stop_ids = self._stop_ids.to(input_ids.device)
        now = torch.isin(input_ids[:, -1], self._stop_ids)
        self.rows = now if self.rows.numel() == 0 else self.rows | now
        return torch.full_like(now, bool(self.rows.sum() >= self._share * len(now)))


@contextmanager
def _without_own_defaults(model: Any) -> Iterator[None]:
    """What a checkpoint's generation_config.json asks for (a repetition penalty, say) would fill in what is unset."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model  # PEFT's own comes from there
    own = inner.generation_config
    inner.generation_config = GenerationConfig()
    try:
        yield
    finally:
        inner.generation_config = own


@contextmanager
def _without_reminder() -> Iterator[None]:
    """transformers counts a row's padding, and so warns of a full context where there is none: limits see to that."""
    source = logging.getLogger("transformers.generation.stopping_criteria")

    def other(record: logging.LogRecord) -> bool:
        return "friendly reminder" not in record.getMessage()

    source.addFilter(other)
    try:
        yield
    finally:
        source.removeFilter(other)


def _cut(row: list[int], stop_ids: Sequence[int], logprobs: list[float] | None) -> Generation:
    """The tokens up to and including the first stop token; what follows is padding."""
    end = next((position for position, token in enumerate(row) if token in stop_ids), None)
    size = len(row) if end is None else end + 1
    kept = None if logprobs is None else tuple(logprobs[:size])
    return Generation(tuple(row[:size]), "length" if end is None else "stop", kept)
