"""What was computed of a sequence, kept for prompts that go on from it: in a dialogue every turn repeats all before it.

Each distinct prompt of a batch is read once, however many completions it has, and of a prompt that begins with a kept
sequence only the rest is read. vLLM calls the same automatic prefix caching (PagedAttention, arXiv 2309.06180, section
4.4). Values are those of reading everything again, up to float noise.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from latent_core.generate.batch_cache import RoomyLayer, batch_cache

Ids = tuple[int, ...]
# Of one sequence, by layer: keys and values, each (heads, tokens, size).
States = list[tuple[torch.Tensor, torch.Tensor]]


class PrefixCache:
    """Keys and values of sequences, at most `most_tokens` tokens of them in all.

    A sequence takes the place of the longest kept one that it goes on from. When there is no room, it is not kept:
    dialogues are read in turn, so that dropping the oldest would drop just what is needed next.

    All are of one state of the model's weights: a change of weights needs a new cache.
    """

    def __init__(self, most_tokens: int) -> None:
        self._room = most_tokens
        self._kept: dict[Ids, States] = {}

    def keep(self, ids: Ids, cache: DynamicCache, row: int, start: int) -> None:
        """Keep the states of `ids`, which `cache` has in a row from the position `start` on."""
        self._add(ids, lambda: _cut(cache, row, start, start + len(ids)))

    def fill(self, model: Any, ids: torch.Tensor, mask: torch.Tensor, cache: DynamicCache) -> None:
        """Append to an empty cache the states of prompts, all but their last ids.

        `ids` and `mask` are (rows, width), padded on the left; the cache then holds width - 1 positions. The caller
        disables gradients.
        """
        width = ids.shape[1] - 1
        prompts = [tuple(row[used][:-1].tolist()) for row, used in zip(ids.cpu(), mask.bool().cpu(), strict=True)]
        states = self._states(model, [prompt for prompt in dict.fromkeys(prompts) if prompt])
        if not states:  # prompts of one token: nothing comes before the last one
            return
        _append(cache, [states.get(prompt) for prompt in prompts], width)

    def _states(self, model: Any, prompts: Sequence[Ids]) -> Mapping[Ids, States]:
        """The states of every prompt, none of them empty; what is not kept is computed, and kept."""
        found = {prompt: self._kept[prompt] for prompt in prompts if prompt in self._kept}
        missing = [prompt for prompt in prompts if prompt not in found]
        starts = {prompt: self._longest_prefix(prompt) for prompt in missing}
        for together in _passes({prompt: len(prompt) - len(start) for prompt, start in starts.items()}):
            read = self._read(model, together, [starts[prompt] for prompt in together])
            found |= dict(zip(together, read, strict=True))
        for prompt in missing:
            self._add(prompt, functools.partial(found.__getitem__, prompt))
        return found

    def _read(self, model: Any, prompts: Sequence[Ids], starts: Sequence[Ids]) -> Iterable[States]:
        """Compute the states of prompts from `starts`, the longest kept sequences that they begin with.

        A row of the pass is padded on the left up to what is kept and on the right after what is new, so that both lie
        side by side. Padding on the right repeats the last position: the next one may be beyond the model's context.
        """
        kept = max(map(len, starts))
        new = max(len(prompt) - len(start) for prompt, start in zip(prompts, starts, strict=True))
        ids = torch.zeros((len(prompts), new), dtype=torch.long)
        mask = torch.zeros((len(prompts), kept + new), dtype=torch.long)
        for row, (prompt, start) in enumerate(zip(prompts, starts, strict=True)):
            rest = prompt[len(start) :]
            ids[row, : len(rest)] = torch.tensor(rest)
            mask[row, kept - len(start) : kept + len(rest)] = 1
        positions = torch.tensor([[len(start)] for start in starts]) + torch.arange(new)
        positions = positions.minimum(torch.tensor([[len(prompt) - 1] for prompt in prompts]))
        cache = batch_cache(model, kept + new)
        assert cache is not None
        if kept:
            _append(cache, [self._kept.get(start) for start in starts], kept)
        device = model.device
        model(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            position_ids=positions.to(device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        for row, (prompt, start) in enumerate(zip(prompts, starts, strict=True)):
            yield _cut(cache, row, kept - len(start), kept - len(start) + len(prompt))

    def _longest_prefix(self, ids: Ids) -> Ids:
        """The longest kept sequence that `ids` go on from; empty where there is none."""
        lengths = sorted({len(kept) for kept in self._kept if len(kept) < len(ids)}, reverse=True)
        return next((ids[:length] for length in lengths if ids[:length] in self._kept), ())

    def _add(self, ids: Ids, states: Callable[[], States]) -> None:
        """Keep `ids` where there is room; only then are `states` called for."""
        if not ids or ids in self._kept:
            return
        start = self._longest_prefix(ids)
        if len(ids) - len(start) > self._room:
            return
        self._kept[ids] = states()
        self._kept.pop(start, None)
        self._room -= len(ids) - len(start)


def _passes(new: Mapping[Ids, int]) -> list[list[Ids]]:
    """Prompts that are read together, by how much of them is new; at most half of what a pass reads is padding.

    One prompt of which nothing is kept would otherwise have all others read at its length.
    """
    passes: list[list[Ids]] = []
    total = 0
    for prompt in sorted(new, key=lambda prompt: -new[prompt]):
        total += new[prompt]
        if passes and (len(passes[-1]) + 1) * new[passes[-1][0]] <= 2 * total:
            passes[-1].append(prompt)
        else:
            passes.append([prompt])
            total = new[prompt]
    return passes


def can_go_on(model: Any) -> bool:
    """Whether a pass can begin after kept states: they are those of the whole sequence, whatever follows.

    The model takes positions, and no layer holds a window only. LongRoPE and dynamic scaling turn all keys otherwise
    once a sequence is longer than the original context.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    cache = batch_cache(model, 0)
    rotation = getattr(model.config.get_text_config(decoder=True), "rope_parameters", None) or {}
    return (
        cache is not None
        and all(isinstance(layer, RoomyLayer) for layer in cache.layers)
        and rotation.get("rope_type") not in ("longrope", "dynamic")
        and "position_ids" in inspect.signature(inner.forward).parameters
    )


def _cut(cache: DynamicCache, row: int, start: int, stop: int) -> States:
    """A copy of what a row has at these positions: a view would hold the whole batch in memory."""
    sides = [(layer.keys[row, :, start:stop], layer.values[row, :, start:stop]) for layer in cache.layers]
    return [(keys.clone(), values.clone()) for keys, values in sides]


def _append(cache: DynamicCache, rows: Sequence[States | None], width: int) -> None:
    """Append `width` positions, with the states of each row at their right end; at least one row has states."""
    some = next(states for states in rows if states is not None)
    for index, layer in enumerate(cache.layers):
        sides = []
        for side, like in enumerate(some[index]):
            heads, _, size = like.shape
            batch = like.new_zeros(len(rows), heads, width, size)
            for row, states in enumerate(rows):
                if states is not None:
                    batch[row, :, width - states[index][side].shape[1] :] = states[index][side]
            sides.append(batch)
        layer.update(*sides)
