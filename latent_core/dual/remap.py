"""Turning supervised rows dual: the reasoning between the think tokens becomes latent, on ids, in input and label.

Only supervised ids are remapped, and only where the closing think token is supervised too: a prompt stays as the model
will meet it when it generates, with what the template writes behind an opened think mark, or a user spells, visible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from latent_core.dual.vocabulary import DualVocabulary
from latent_core.errors import InputError

IGNORED = -100  # torch's cross_entropy ignore_index


class OutsidePolicy(StrEnum):
    """What happens to a reasoning token that has no mirror."""

    VISIBLE = "visible"  # it stays visible; the constraint will never produce it there
    DROP_ROW = "drop_row"


class RemapOutcome(StrEnum):
    """What became of a row."""

    REMAPPED = "remapped"
    NO_THINK_END = "no_think_end"
    """No supervised closing think token, or reasoning opened again and cut: dropped."""
    NO_THINK_START = "no_think_start"
    """A supervised closing think token that nothing opens: dropped."""
    OUTSIDE_SUBSET = "outside_subset"
    """A reasoning token without a mirror under policy drop_row: dropped."""


@dataclass
class RemapCounts:
    """The account of a remapped set: rows by outcome, reasoning tokens by what they became."""

    rows: dict[RemapOutcome, int] = field(default_factory=lambda: dict.fromkeys(RemapOutcome, 0))
    latent_tokens: int = 0
    outside_tokens: int = 0
    """Reasoning tokens without a mirror, in kept and dropped rows."""


def remap_row(
    input_ids: Sequence[int],
    labels: Sequence[int],
    vocabulary: DualVocabulary,
    counts: RemapCounts,
    *,
    outside: OutsidePolicy | str = OutsidePolicy.VISIBLE,
) -> tuple[list[int], list[int]] | None:
    """`(input_ids, labels)` with latent reasoning, or None for a dropped row; either way counted in `counts`.

    Both have shape (n,); labels are -100 where unsupervised, else equal to the input id (unshifted, as trl and
    transformers take them). Raises `InputError` when that does not hold, or for ids that are latent already.
    """
    policy = OutsidePolicy(outside)
    ids, targets = np.asarray(input_ids, dtype=np.int64), np.asarray(labels, dtype=np.int64)
    if ids.shape != targets.shape or ids.ndim != 1:
        raise InputError(f"input_ids has shape {ids.shape}, labels {targets.shape}: give two lists of one length")
    if np.any((targets != IGNORED) & (targets != ids)):
        raise InputError("labels must be -100 or equal input_ids at the same position: do not shift them")
    if vocabulary.is_latent(ids).any():
        raise InputError("input_ids holds latent ids already: remap the visible rows once")
    reasoning = _reasoning_mask(ids, targets, vocabulary)
    if isinstance(reasoning, RemapOutcome):
        counts.rows[reasoning] += 1
        return None
    without = reasoning & ~vocabulary.has_mirror(ids)
    counts.outside_tokens += int(without.sum())
    if policy is OutsidePolicy.DROP_ROW and without.any():
        counts.rows[RemapOutcome.OUTSIDE_SUBSET] += 1
        return None
    mapped = np.where(reasoning, vocabulary.to_latent(ids), ids)
    counts.rows[RemapOutcome.REMAPPED] += 1
    counts.latent_tokens += int((reasoning & ~without).sum())
    return mapped.tolist(), np.where(targets == IGNORED, IGNORED, mapped).tolist()


def _reasoning_mask(
    ids: npt.NDArray[np.int64], targets: npt.NDArray[np.int64], vocabulary: DualVocabulary
) -> npt.NDArray[np.bool_] | RemapOutcome:
    """True of the supervised ids between each supervised closing think token and the last opening one before it."""
    starts = np.flatnonzero(ids == vocabulary.think_start_id)
    ends = np.flatnonzero(targets == vocabulary.think_end_id)
    if ends.size == 0 or np.any((starts > ends[-1]) & (targets[starts] != IGNORED)):
        return RemapOutcome.NO_THINK_END
    reasoning = np.zeros(ids.shape, dtype=bool)
    previous = -1
    for end in ends:
        openings = starts[(starts > previous) & (starts < end)]
        if openings.size == 0:
            return RemapOutcome.NO_THINK_START
        reasoning[openings[-1] + 1 : end] = True
        previous = int(end)
    return np.asarray(reasoning & (targets != IGNORED), dtype=np.bool_)
