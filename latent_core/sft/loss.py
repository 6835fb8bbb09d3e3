"""Which tokens count in the training loss, and how much: latent tokens alone, or a target's parts by weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from latent_core.config.training import LossWeights
from latent_core.dual.remap import IGNORED
from latent_core.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

Table = TypeVar("Table", "pa.Table", "pa.Table | None")


def latent_only(table: Table, latent_ids: Sequence[int]) -> Table:
    """The table with labels of all but latent ids set to -100; input ids stay as they are.

    Raises InputError for a model without latent ids, and when a table holds no latent label at all.
    """
    import pyarrow as pa

    if not latent_ids:
        raise InputError("train.loss_on: latent_only needs a dual model; choose the variant dual, or loss_on: target")
    if table is None or table.num_rows == 0:
        return table
    first, last = latent_ids[0], latent_ids[-1]
    labels: Any = table["labels"].combine_chunks()
    flat = labels.flatten().to_numpy(zero_copy_only=False)
    masked = np.where((flat >= first) & (flat <= last), flat, IGNORED).astype(np.int32)
    if not (masked != IGNORED).any():
        raise InputError("train.loss_on: no example has a latent label; prepare the examples for the dual model")
    ends = np.cumsum([0, *(len(row) for row in labels)], dtype=np.int32)
    column = pa.ListArray.from_arrays(pa.array(ends), pa.array(masked))
    return table.set_column(table.schema.get_field_index("labels"), "labels", column)


def token_weights(labels: Any, weights: LossWeights, think_end_id: int) -> Any:
    """Weight of every label, shape and device of `labels` (rows, tokens): 0 where unsupervised.

    A row's last supervised closing think token is the boundary; what lies before it is reasoning, what follows answer.
    A row without one is reasoning throughout.
    """
    import torch

    is_end = labels == think_end_id
    ends_from_here = is_end.long().flip(-1).cumsum(-1).flip(-1)
    is_answer = (ends_from_here == 0) & is_end.any(-1, keepdim=True)
    is_boundary = is_end & (ends_from_here == 1)
    chosen = torch.full(labels.shape, weights.reasoning, dtype=torch.float32, device=labels.device)
    chosen = chosen.masked_fill(is_answer, weights.answer).masked_fill(is_boundary, weights.boundary)
    return chosen.masked_fill(labels == IGNORED, 0.0)


def weighted_loss(logits: Any, labels: Any, weights: LossWeights, think_end_id: int, tokens: Any = None) -> Any:
    """`weighted_mean` of the negative log-likelihoods under full `logits` (rows, tokens, vocabulary)."""
    import torch

    losses = torch.nn.functional.cross_entropy(
        logits[:, :-1].float().transpose(1, 2), labels[:, 1:], ignore_index=IGNORED, reduction="none"
    )
    return weighted_mean(losses, labels, weights, think_end_id, tokens)


def weighted_mean(
    losses: Any, labels: Any, weights: LossWeights, think_end_id: int | None = None, tokens: Any = None
) -> Any:
    """Sum of weighted negative log-likelihoods over the number of supervised tokens: a scalar, in nats a token.

    `labels` (rows, tokens) are unshifted, `losses` (rows, tokens - 1) are those of all labels but the first, 0 where
    unsupervised. `tokens` is the number of supervised tokens of the whole batch where this is one of several micro
    batches. Not divided by the sum of weights: halving one part's weight leaves the gradients of the others as they
    were. `think_end_id` may be None where all weights are 1.
    """
    import torch

    count = (labels[:, 1:] != IGNORED).sum() if tokens is None else torch.as_tensor(tokens, device=losses.device)
    if not weights.are_equal_to_one:
        assert think_end_id is not None
        losses = losses * token_weights(labels, weights, think_end_id)[:, 1:]
    return losses.sum() / count.clamp(min=1)
