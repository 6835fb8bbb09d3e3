"""Which groups of rollouts teach something: the signal-to-noise filter of RAGEN-2 (arXiv 2604.06268)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latent_core.errors import InputError
from latent_core.rl.groups import deviation, finite


def kept_groups(returns: Sequence[Sequence[float]], share: float) -> list[bool]:
    """Whether each group is kept; `returns` hold those of its members, groups may differ in size.

    A group's score is the standard deviation (ddof 1) of its returns. Groups are kept in descending order of their
    scores until these add up to `share` of the sum over all; of groups with the same score the first come first. Groups
    whose returns are equal up to rounding, and groups of one, score 0 and are never kept, at any share.

    Raises InputError for a share outside (0, 1], an empty group, and returns that are not finite.
    """
    if not 0 < share <= 1:
        raise InputError(f"share: must be above 0 and at most 1, not {share}")
    groups = [finite(f"returns of group {number}", group) for number, group in enumerate(returns)]
    if any(not len(group) for group in groups):
        raise InputError("returns: a group is empty; leave groups without rollouts out")
    scores = np.array([deviation(group) for group in groups])
    order = np.argsort(-scores, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(scores[order])])[:-1]
    # A hair below the share, so that 1 does not ask for the last bits of a sum.
    taken = (before < share * scores.sum() * (1 - 1e-12)) & (scores[order] > 0)
    kept = np.zeros(len(scores), dtype=bool)
    kept[order[taken]] = True
    return [bool(group) for group in kept]
