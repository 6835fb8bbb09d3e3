"""A key-value cache that is not copied at every step, and from which rows that have ended are taken out.

transformers' DynamicCache appends with `torch.cat`, which copies all that it holds at every step. Its StaticCache is
written in place, but attention then reads the slots that are still empty. Here a layer is written in place into a
buffer with room ahead, and attention reads a view of the filled part: the values, shapes and masks of DynamicCache.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

ROOM = 64  # steps that a buffer has ahead when it grows: one copy in so many steps
_log = logging.getLogger(__name__)
_told: set[str] = set()  # kinds of models of which the log has said that they keep their own cache


class RoomyLayer(DynamicLayer):  # type: ignore[misc]  # transformers is untyped here
    """A DynamicLayer whose `keys` and `values`, (rows, heads, length, size), are views of longer buffers.

    It holds at most `longest` positions, unless more are appended.
    """

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, longest: int) -> None:
        super().__init__()
        self._longest = longest
        self._buffers: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append states of shape (rows, heads, new, size); returns all keys and all values."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if self._buffers is None or end > self._buffers[0].shape[-2]:
            size = max(end, min(end + ROOM, self._longest))
            self._buffers = _buffer(self.keys, key_states, size), _buffer(self.values, value_states, size)
        keys, values = self._buffers
        keys[:, :, start:end] = key_states
        values[:, :, start:end] = value_states
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows, a tensor of their places, in this order."""
        if self._buffers is not None:
            length = self.get_seq_length()
            keys, values = (buffer.index_select(0, indices) for buffer in self._buffers)
            self._buffers = keys, values
            self.keys, self.values = keys[:, :, :length], values[:, :, :length]


def _buffer(held: torch.Tensor, new: torch.Tensor, size: int) -> torch.Tensor:
    """Room for `size` positions of states like `new`, with those that are held at its start."""
    buffer = new.new_empty(new.shape[0], new.shape[1], size, new.shape[3])
    if held.numel():
        buffer[:, :, : held.shape[-2]] = held
    return buffer


def batch_cache(model: Any, longest: int) -> DynamicCache | None:
    """An empty cache for sequences of up to `longest` tokens; None for a model that needs a cache of its own kind.

    Layers with a sliding window stay transformers' own, which hold the window only.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    cache = DynamicCache(config=model.config) if inner._supports_default_dynamic_cache() else None
    kinds = set() if cache is None else {type(layer) for layer in cache.layers}
    if cache is None or not kinds or kinds - {DynamicLayer, DynamicSlidingWindowLayer}:
        name = type(inner).__name__
        if name not in _told:
            _told.add(name)
            _log.warning("%s keeps its own cache: rows that have ended are computed until their batch ends", name)
        return None
    cache.layers = [RoomyLayer(longest) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
