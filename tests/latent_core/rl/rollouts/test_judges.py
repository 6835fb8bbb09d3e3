"""What the log-probability judge makes of completions that it cannot score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latent_core.config.grpo import GrpoConfig
from latent_core.reward import scorer
from latent_core.reward.scores import MALFORMED, Score, Status
from latent_core.rl.rollouts.judges import judge

SCORES = [-0.2, -0.4, -0.7, -0.9, -1.1, -1.6, -2.0]


class _Scorer:
    def __init__(self, model_dir: Path) -> None: ...

    def score(self, requests: list[Any]) -> list[Score]:
        return [*(Score(score, Status.SCORED) for score in SCORES), Score(MALFORMED, Status.NO_THINK_END)]


def test_malformed_completion_leaves_the_others_of_its_group_their_advantages(monkeypatch: Any) -> None:
    monkeypatch.setattr(scorer, "Scorer", _Scorer)
    config = GrpoConfig.model_validate({"reward": {"judge": "logprob"}})
    row = {"prompt_token_ids": [1], "output_token_ids": [2], "gold": "3", "reasoning_tokens": 1}
    rewards = np.array(judge(config, Path())([row] * 8))
    advantages = (rewards - rewards.mean()) / rewards.std(ddof=1)
    assert rewards[:7] == pytest.approx(SCORES) and advantages[7] == advantages.min()
    assert np.ptp(advantages[:7]) > 1.5  # 2.95 without the eighth; 0.18 where it is worth -30
