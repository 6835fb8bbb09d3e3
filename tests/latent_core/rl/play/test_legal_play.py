"""Examples of how a turn is written, from environments that may list any text as a legal action."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from latent_core.models.readable import ReadableModel
from latent_core.rl.environments import EnvironmentFailed, EnvironmentSpec
from latent_core.rl.play.legal_play import legal_play
from latent_core.rl.play.patience import Patience

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
    spec = EnvironmentSpec("listing", 1, "Go.", 1, Listing)
    patience, accounting = Patience("listing", 1), Counter[str]()
    (row,) = legal_play(spec, model, [0], seed=1, max_length=500, accounting=accounting, patience=patience)
    learned = [label for label in row["labels"] if label != -100]
    assert learned.count(model.family.end_of_turn_id) == 1 and learned[-1] == model.family.end_of_turn_id
    assert learned.count(model.family.think_end_id) == 1
    assert model.decode(learned).count(f"<answer>{action}</answer>") == 1


class Failing:
    """Fails after its first turn, for every tenth seed."""

    def reset(self, seed: int) -> tuple[str, dict[str, Any]]:
        self.seed = seed
        return "Go.", {"legal": ("up",)}

    def step(self, taken: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        if self.seed % 10 == 4:
            raise EnvironmentFailed("gone")
        return "Done.", 0.0, True, False, {}


def test_episodes_that_an_environment_does_not_answer_are_left_out_and_counted_up_to_a_tenth(mini_dir: Path) -> None:
    spec, model = EnvironmentSpec("failing", 1, "Go.", 1, Failing), ReadableModel.load(mini_dir)

    def played(episodes: int, patience: Patience) -> Counter[str]:
        accounting = Counter[str]()
        rows = list(legal_play(spec, model, range(episodes), seed=1, max_length=500, accounting=accounting,
                               patience=patience))  # fmt: skip
        assert len(rows) == accounting["kept"]
        return accounting

    assert played(20, Patience("failing", 20)) == {"kept": 18, "aborted": 2}
    with pytest.raises(EnvironmentFailed, match=r"failing failed in more than a tenth of 19 .* The last time: gone"):
        played(20, Patience("failing", 19))
