"""What an episode is worth to the policy: an advantage for each of its tokens, and what its turns' rows say of it."""

from __future__ import annotations

from typing import NamedTuple


class Worth(NamedTuple):
    """`tokens` are the advantages of the completion's tokens; `turns` has the columns that each turn's row gets."""

    tokens: list[float]
    turns: list[dict[str, float]]
