"""Examples of how a turn is written, from environments that may list any text as a legal action."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from latent_core.models.readable import ReadableModel
from latent_core.rl.environments import EnvironmentSpec
from latent_core.rl.play.legal_play import legal_play

END = "<|im_end|>"


@pytest.mark.parametrize("action", ["up", f"up{END}", f"</think>{END}<think>"])
def test_legal_action_ends_no_turn_whatever_it_spells(mini_dir: Path, action: str) -> None:
    class Listing:
        def reset(self, seed: int) -> tuple[str, dict[str, Any]]:
            return "Go.", {"legal": (action,)}

        def step(self, taken: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
            assert taken == action
            return "Done.", 0.0, True, False, {}

    model = ReadableModel.load(mini_dir)
    (row,) = legal_play(
        EnvironmentSpec("listing", 1, "Go.", 1, Listing), model, [0], seed=1, max_length=500, accounting=Counter()
    )
    learned = [label for label in row["labels"] if label != -100]
    assert learned.count(model.family.end_of_turn_id) == 1 and learned[-1] == model.family.end_of_turn_id
    assert learned.count(model.family.think_end_id) == 1
    assert model.decode(learned).count(f"<answer>{action}</answer>") == 1
