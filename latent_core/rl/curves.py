"""What training saw at every step, from its rollouts alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np


class Curves:
    """Collects the turns of a training, in any order, and tells each step's measures."""

    def __init__(self) -> None:
        self._steps: dict[int, dict[str, Any]] = defaultdict(
            lambda: {"groups": defaultdict(list), "turns": 0, "tokens": 0, "latent": 0, "ends": [], "won": []}
        )

    def add(self, row: Mapping[str, Any]) -> None:
        """A row of `agent_schema`."""
        step = self._steps[int(row["step"])]
        step["turns"] += 1
        step["tokens"] += row["tokens"]
        step["latent"] += row["latent_tokens"]
        if row["end"] is not None:
            step["groups"][row["seed"]].append(row["return"])
            step["ends"].append(row["end"])
            step["won"].append(bool(row["success"]))

    def steps(self) -> list[dict[str, float]]:
        """One entry a step, in order: `return` and `success` are means over episodes, `within_group_std` (ddof 1) is
        the mean over groups, lengths are tokens a turn, `latent_share` is of the model's own tokens."""
        return [{"step": number} | _measures(step) for number, step in sorted(self._steps.items())]


def _measures(step: Mapping[str, Any]) -> dict[str, float]:
    returns = [value for group in step["groups"].values() for value in group]
    spreads = [float(np.std(group, ddof=1)) for group in step["groups"].values() if len(group) > 1]
    return {
        "episodes": len(returns),
        "return": float(np.mean(returns)),
        "success": float(np.mean(step["won"])),
        "format_rate": 1 - sum(end == "format" for end in step["ends"]) / len(step["ends"]),
        "turns": step["turns"] / len(returns),
        "tokens_per_turn": step["tokens"] / step["turns"],
        "latent_share": step["latent"] / max(1, step["tokens"]),
        "within_group_std": float(np.mean(spreads)) if spreads else 0.0,
    }
