"""The judges of completions: the grader's verdict, or how likely the start model finds the gold answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from latent_core.config.grpo import GrpoConfig, Judge
from latent_core.reward.scores import ScoreRequest, Status
from latent_core.rl.rewards import below_the_worst, length_cost, verdict_reward

Row = dict[str, Any]
Rewards = Callable[[Sequence[Row]], list[float]]


def judge(config: GrpoConfig, model_dir: Path) -> Rewards:
    """What gives graded rows their rewards. With `logprob` a second copy of the model is loaded, and never trained.

    Raises InputError for a model without think marks, which the log-probability needs.
    """
    limit = config.rollout.max_new_tokens
    if config.reward.judge is Judge.VERDICT:
        return lambda rows: [verdict_reward(row, config.reward, limit) for row in rows]
    from latent_core.reward.scorer import Scorer

    scorer = Scorer(model_dir)

    def of_gold(rows: Sequence[Row]) -> list[float]:
        scores = scorer.score(
            [ScoreRequest((*row["prompt_token_ids"],), (*row["output_token_ids"],), row["gold"]) for row in rows]
        )
        costs = (length_cost(row, config.reward, limit) for row in rows)
        rewards = [score.score - cost for score, cost in zip(scores, costs, strict=True)]
        malformed = [score.status is not Status.SCORED for score in scores]
        return below_the_worst(rewards, malformed, config.rollout.samples)

    return of_gold
