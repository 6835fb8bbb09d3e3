"""Log-probabilities of tokens from hidden states, over what each position's phase allows, with their gradients.

The head's rows are read in tiles and the positions in chunks, forwards and once more backwards, so that there are never
logits of more than one tile and chunk: beside its arguments and their gradients a call needs a few numbers a token.
Only tiles that a phase allows are projected: THINK positions on latent rows, ANSWER positions on visible ones.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from latent_core.dual.remap import IGNORED
from latent_core.errors import InputError
from latent_core.likelihood.head import Head
from latent_core.likelihood.projection import Group, PhaseLogProbs, Projection
from latent_core.likelihood.support import Support


class TokenLogProbs(NamedTuple):
    """All three in the shape of the ids, float32 (float64 for hidden states in float64), 0 where ids are ignored."""

    values: torch.Tensor
    """Natural log-probabilities; -inf for a token that its phase forbids. The only one with gradients."""
    log_partition: torch.Tensor
    """Logarithm of the sum of the exponentials of all allowed logits; not finite where weights are broken."""
    entropies: torch.Tensor | None
    """Entropy in nats of what may come next, if asked for."""


def token_logprobs(
    hidden: torch.Tensor,
    head: Head,
    next_ids: torch.Tensor,
    support: Support,
    phases: torch.Tensor | None = None,
    *,
    temperature: float = 1.0,
    with_entropies: bool = False,
) -> TokenLogProbs:
    """The log-probability of each of `next_ids` among the ids that its position's phase allows.

    `hidden` (rows, tokens, width) are the last hidden states from which `next_ids` (rows, tokens) are predicted; ids
    of -100 are ignored. `phases` (rows, tokens) number rows of `support.allowed`; None is phase 0 throughout. Logits
    are computed in float32, also from weights in bfloat16, and divided by `temperature`.

    Equals, in values and gradients, adding what the support adds to the full logits, dividing by `temperature`, masking
    with -inf and taking log_softmax. Raises `InputError` when head and support differ in size.
    """
    if head.size != support.size:
        raise InputError(f"the model scores {head.size} ids, the vocabulary has {support.size}: load the pair")
    flat_ids = next_ids.reshape(-1)
    places = (flat_ids != IGNORED).nonzero()[:, 0]
    groups = [Group(0, 0, len(places))]
    if phases is not None:
        of_places = phases.reshape(-1)[places]
        order = of_places.argsort(stable=True)
        places = places[order]
        ends = torch.bincount(of_places, minlength=support.phases).cumsum(0).tolist()
        groups = [Group(phase, begin, end) for phase, (begin, end) in enumerate(zip([0, *ends], ends, strict=False))]
    projection = Projection(
        support, tuple(group for group in groups if group.stop > group.start), head.starts, head.scale, head.soft_cap,
        temperature, with_entropies,
    )  # fmt: skip
    values, log_partition, entropies = PhaseLogProbs.apply(  # type: ignore[no-untyped-call]
        hidden.reshape(-1, hidden.shape[-1])[places], flat_ids[places], projection, head.bias, *head.parts
    )

    def spread(found: torch.Tensor) -> torch.Tensor:
        return found.new_zeros(flat_ids.shape).index_copy(0, places, found).reshape(next_ids.shape)

    return TokenLogProbs(spread(values), spread(log_partition), spread(entropies) if with_entropies else None)
