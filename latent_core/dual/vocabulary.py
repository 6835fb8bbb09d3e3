"""The layout of a dual vocabulary and the codec between visible and latent ids: the only place that knows them.

Visible ids are `[0, V)`: the base's embedding rows, padding included, plus the think tokens added to it. Latent ids
are `[V, V+L)`; latent `V+i` mirrors the visible id `source_ids[i]`, or nothing (a custom token) where that is -1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from latent_core.dual import storage
from latent_core.dual.storage import NO_SOURCE
from latent_core.errors import InputError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

_AS_WRITTEN = {"clean_up_tokenization_spaces": False}

Ids = npt.NDArray[np.int64]
IdsLike: TypeAlias = "Sequence[Any] | npt.NDArray[np.integer[Any]] | torch.Tensor"
"""Token ids in any shape; a list may be nested."""


@dataclass(frozen=True)
class DualVocabulary:
    """Which ids are visible, which are latent, and what each latent stands for.

    Raises `InputError` (a `ValueError`) when the layout contradicts itself: a source outside `[0, V)`, two latents
    with one source, think ids that are equal or not visible; and for what is no integer. Numpy's integers and lists
    become Python's integers and tuples, so that equal layouts are equal and can be saved.
    """

    visible_size: int
    """V, in embedding rows."""
    source_ids: tuple[int, ...]
    """Length L: the visible id that each latent mirrors, or -1."""
    think_start_id: int
    think_end_id: int
    eos_ids: tuple[int, ...] = ()
    mode: str = "full_copy"
    """How the latents were chosen: full_copy, subset or custom."""
    custom_tokens: tuple[str, ...] = ()
    """The texts of the latents of mode custom, in order (length L); empty in the other modes."""
    latents_trained: bool = False
    """Whether latent rows may differ from their sources; set by training, read by verification."""

    def __post_init__(self) -> None:
        for name in ("visible_size", "think_start_id", "think_end_id"):
            object.__setattr__(self, name, _integers([getattr(self, name)], name)[0])
        for name in ("source_ids", "eos_ids"):
            object.__setattr__(self, name, _integers(getattr(self, name), name))
        sources = np.asarray(self.source_ids, dtype=np.int64)
        if self.visible_size <= 0:
            raise InputError(f"visible_size is {self.visible_size}: give the number of visible embedding rows (> 0)")
        if sources.size and (sources.min() < NO_SOURCE or sources.max() >= self.visible_size):
            raise InputError(f"source_ids must be -1 or lie in [0, {self.visible_size}): fix the latent table")
        real = sources[sources != NO_SOURCE]
        if np.unique(real).size != real.size:
            raise InputError("source_ids names one visible id twice: give every visible token at most one mirror")
        if self.custom_tokens and len(self.custom_tokens) != len(self.source_ids):
            raise InputError(
                f"custom_tokens has {len(self.custom_tokens)} entries for {len(self.source_ids)} latents: give one each"
            )
        if self.think_start_id == self.think_end_id:
            raise InputError(f"think_start_id and think_end_id are both {self.think_end_id}: they must differ")
        named = (self.think_start_id, self.think_end_id, *self.eos_ids)
        if any(not 0 <= token < self.visible_size for token in named):
            raise InputError(f"think ids and eos_ids {named} must be visible, in [0, {self.visible_size})")

    @property
    def latent_size(self) -> int:
        """L, in embedding rows."""
        return len(self.source_ids)

    @property
    def size(self) -> int:
        """V + L: the model's vocab_size."""
        return self.visible_size + self.latent_size

    @property
    def think_ids(self) -> tuple[int, int]:
        return (self.think_start_id, self.think_end_id)

    @cached_property
    def sources(self) -> Ids:
        """`source_ids` as a read-only array, shape (L,)."""
        return _frozen(np.asarray(self.source_ids, dtype=np.int64).reshape(-1))

    @cached_property
    def _latent_of(self) -> Ids:
        """Shape (V+L,): the latent twin of every id; an id without a twin, and a latent, is its own."""
        table = np.arange(self.size, dtype=np.int64)
        mirrors = np.flatnonzero(self.sources != NO_SOURCE)
        table[self.sources[mirrors]] = self.visible_size + mirrors
        return _frozen(table)

    @cached_property
    def _visible_of(self) -> Ids:
        """Shape (V+L,): the visible twin of every id, -1 for a latent without source."""
        return _frozen(np.concatenate([np.arange(self.visible_size, dtype=np.int64), self.sources]))

    def checked(self, ids: IdsLike) -> Ids:
        """`ids` as int64, in their shape. Raises `InputError` for non-integers and ids outside `[0, V+L)`."""
        try:
            array = as_array(ids)
        except (TypeError, ValueError) as error:
            raise InputError(f"ids cannot be read as an array ({error}): give integers, rows of one length") from error
        if array.size == 0:
            return np.zeros(array.shape, dtype=np.int64)
        if array.dtype.kind not in "iu":
            raise InputError(f"ids have dtype {array.dtype}: give integers")
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= self.size:
            raise InputError(f"ids span [{low}, {high}] but this dual vocabulary has [0, {self.size}): check the model")
        return array.astype(np.int64, copy=False)

    def to_latent(self, ids: IdsLike) -> Ids:
        """The latent twins, int64, in the shape of `ids`; ids without a mirror (see `has_mirror`) and latents as are.

        Raises `InputError` for an id outside `[0, V+L)`.
        """
        return np.asarray(self._latent_of[self.checked(ids)])

    def to_visible(self, ids: IdsLike) -> Ids:
        """The visible twins, int64, in the shape of `ids`; visible ids as they are.

        Raises `InputError` for an id outside `[0, V+L)` and for a custom latent, which has no source.
        """
        checked = self.checked(ids)
        visible = np.asarray(self._visible_of[checked])
        if visible.size and visible.min() < 0:
            first = int(checked[visible < 0].flat[0]) if checked.ndim else int(checked)
            raise InputError(f"latent id {first} is a custom token without a visible source: read it with decode()")
        return visible

    def is_latent(self, ids: IdsLike) -> npt.NDArray[np.bool_]:
        """Bool, in the shape of `ids`. Raises `InputError` for an id outside `[0, V+L)`."""
        return np.asarray(self.checked(ids) >= self.visible_size)

    def has_mirror(self, ids: IdsLike) -> npt.NDArray[np.bool_]:
        """Whether `to_latent` gives a latent id: true of mirrored visible ids and of latents; bool, shape of `ids`."""
        return np.asarray(self._latent_of[self.checked(ids)] >= self.visible_size)

    def decode(
        self,
        ids: IdsLike,
        tokenizer: PreTrainedTokenizerBase,
        *,
        mark_latent: tuple[str, str] | None = None,
        skip_special_tokens: bool = True,
    ) -> str:
        """Readable text of ids, shape (n,), that may be latent: latents are read through their visible sources.

        `mark_latent` puts an opening and a closing string around each run of latents. Think tokens are always written
        out, special or not. Raises `InputError` for ids outside the vocabulary or not one-dimensional.
        """
        checked = self.checked(ids)
        if checked.ndim != 1:
            raise InputError(f"ids have {checked.ndim} dimensions: decode one sequence at a time")
        visible = self._visible_of[checked]
        latent = checked >= self.visible_size
        think = np.isin(checked, self.think_ids)
        # A run is decoded at once, because one character may span several byte-level tokens.
        kind = np.where(think, 1, np.where(visible < 0, 2, 0)) + (4 * latent if mark_latent is not None else 0)
        parts: list[str] = []
        inside = False
        for run in np.split(np.arange(checked.size), np.flatnonzero(np.diff(kind)) + 1):
            if run.size == 0:
                continue
            if mark_latent is not None and bool(latent[run[0]]) != inside:
                parts.append(mark_latent[1] if inside else mark_latent[0])
                inside = not inside
            if think[run[0]]:
                parts.extend(tokenizer.convert_ids_to_tokens(checked[run].tolist()))
            elif visible[run[0]] < 0:
                parts.extend(self._custom_text(int(token)) for token in checked[run])
            else:
                tokens = visible[run].tolist()
                parts.append(tokenizer.decode(tokens, skip_special_tokens=skip_special_tokens, **_AS_WRITTEN))
        if inside and mark_latent is not None:
            parts.append(mark_latent[1])
        return "".join(parts)

    def _custom_text(self, token: int) -> str:
        index = token - self.visible_size
        # A custom latent whose text was not kept (a reference's artifact) is still shown, by its number.
        return self.custom_tokens[index] if self.custom_tokens else f"[latent {index}]"

    def to_json(self) -> dict[str, Any]:
        """The version-1 object, see `storage`."""
        return storage.to_json(self._layout())

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], where: str) -> DualVocabulary:
        """The vocabulary of a version-1 object; `where` names it in errors. Raises `InputError` on anything else."""
        try:
            return cls(*storage.from_json(stored))
        except InputError as error:
            raise InputError(f"{where} is damaged or of another version: {error}") from error

    def save(self, directory: str | Path) -> None:
        """Write `dual_vocab.json`, and the same object under `dual_vocab` in `config.json` if that is there."""
        storage.write_layout(self._layout(), Path(directory))

    @classmethod
    def load(cls, directory: str | Path) -> DualVocabulary:
        """Read `dual_vocab.json`, else `config.json`'s `dual_vocab`, else the reference's `dual_vocab_meta.json`.

        Raises `InputError` when none is there, or on an unknown version.
        """
        names = (storage.FILE_NAME, "config.json", storage.REFERENCE_FILE_NAME)
        own, config_path, reference = (Path(directory) / name for name in names)
        if own.exists():
            return cls.from_json(storage.read_json(own), str(own))
        config = storage.read_json(config_path) if config_path.exists() else {}
        if storage.CONFIG_KEY in config:
            stored, where = config[storage.CONFIG_KEY], f"{config_path}: {storage.CONFIG_KEY}"
            if not isinstance(stored, dict):
                raise InputError(f"{where} is no object: build the dual model again")
            return cls.from_json(stored, where)
        if reference.exists():
            try:
                return cls(*storage.from_reference(storage.read_json(reference), reference))
            except (TypeError, ValueError) as error:
                if isinstance(error, InputError):
                    raise
                raise InputError(f"{reference}: {error}: correct it, or build the dual model again") from error
        raise InputError(
            f"{directory} holds no {names[0]}, and no {storage.CONFIG_KEY} in config.json: build a dual model first"
        )

    @classmethod
    def find(cls, directory: Path) -> DualVocabulary | None:
        """The vocabulary of a model built here; None for a standard model, which has no `dual_vocab.json`."""
        return cls.load(directory) if storage.is_dual(directory) else None

    def _layout(self) -> storage.Layout:
        return storage.Layout(
            self.visible_size,
            self.source_ids,
            self.think_start_id,
            self.think_end_id,
            self.eos_ids,
            self.mode,
            self.custom_tokens,
            self.latents_trained,
        )


def as_array(ids: IdsLike) -> npt.NDArray[Any]:
    """A numpy view where possible; tensors come from their device."""
    return np.asarray(ids.detach().cpu() if hasattr(ids, "detach") else ids)


def _integers(values: Any, name: str) -> tuple[int, ...]:
    """A flat sequence of integers as Python's own; numpy alone would cut 1.5 down to 1. Raises `InputError`."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} cannot be read as integers ({error})") from error
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise InputError(f"{name} must be integers, got {str(values)[:60]}")
    return tuple(array.tolist())


def _frozen(array: Ids) -> Ids:
    array.flags.writeable = False
    return array
