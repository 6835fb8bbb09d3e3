"""The stage `grpo`: every rollout that was learned from, and what the first and last steps were worth."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from latent_core.config.grpo import GrpoConfig
from latent_core.models.source import model_in
from latent_core.rl.rollouts.judges import Rewards
from latent_core.rl.training import grpo
from tasks.grpo import ROLLOUTS, GrpoInputs, train_policy
from tasks.tables import REFERENCES
from tests.support.stage_bench import MINI, TRAINING, StageBench


def _more_each_step(config: GrpoConfig, model_dir: Path) -> Rewards:
    steps = count()

    def reward(rows: Sequence[Any]) -> list[float]:
        step = next(steps)
        return [step + number / len(rows) for number, _ in enumerate(rows)]

    return reward


def test_grpo_keeps_every_rollout_and_summarises_the_first_and_the_last_steps(
    bench: StageBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpo, "judge", _more_each_step)
    config = GrpoConfig.model_validate(
        {
            "questions": 4, "questions_per_step": 2, "steps": 2, "micro_batch_size": 2, "save_every": 2,
            "rollout": {"samples": 2, "max_new_tokens": 16, "temperature": 1.5}, "diagnose_every": 2,
        }
    )  # fmt: skip
    made = bench.perform(train_policy.call(config, GrpoInputs(MINI, TRAINING)))
    rows, content = list(made.rows_of(ROLLOUTS)), made.manifest.content
    assert len(rows) == 2 * 2 * 2 and {row["step"] for row in rows} == {0, 1}
    taught = sum(row["taught"] for row in rows)
    assert content.accounting.get("kept", 0) == taught and content.accounting.get("no_signal", 0) == 8 - taught
    assert sum(content.metrics["verdicts"].values()) == 8
    assert content.metrics["first"]["reward"] < 1 <= content.metrics["last"]["reward"]
    for name, step in (("first", 0), ("last", 1)):
        rewards = [row["reward"] for row in rows if row["step"] == step]
        assert content.metrics[name]["reward"] == sum(rewards) / 4
    steps = content.metrics["steps"]
    assert [step["step"] for step in steps] == [0, 1] and steps[1]["reward"] == content.metrics["last"]["reward"]
    assert ["mutual_information" in step for step in steps] == [True, False]
    assert all(step["sampler_kl"] < 1e-6 and step["first_token_entropy"] > 0 for step in steps)
    assert (model_in(made) / "config.json").is_file()


def test_grpo_under_a_length_term_records_what_every_step_came_to(
    bench: StageBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpo, "judge", _more_each_step)
    tokens = {problem.question_id: 10.0 for problem in TRAINING.open().problems(0, 4)}
    references = bench.input(
        "reference_lengths", {REFERENCES: [{"question_id": name, "tokens": length} for name, length in tokens.items()]}
    )
    config = GrpoConfig.model_validate(
        {
            "questions": 4, "questions_per_step": 2, "steps": 2, "micro_batch_size": 2, "save_every": 2,
            "rollout": {"samples": 2, "max_new_tokens": 16, "temperature": 1.5},
            "length": {"reward": "gated", "alpha": 0.2, "tolerance": 0.1, "rate": 0.5}, "ratios": [0.5],
        }
    )  # fmt: skip
    made = bench.perform(train_policy.call(config, GrpoInputs(MINI, TRAINING, references)))
    first, last = made.manifest.content.metrics["length"]
    rows = [row for row in made.rows_of(ROLLOUTS) if row["step"] == 0]
    assert {row["reference_tokens"] for row in rows} == {10.0}
    deviation = sum(abs(row["reasoning_tokens"] / 10 - 0.5) for row in rows) / 4
    assert first["mean_deviation"] == pytest.approx(deviation) and deviation > 0.1
    assert last["alpha"] == pytest.approx(0.2 + 0.5 * (deviation - 0.1))
    assert first["answer_tokens"] == sum(row["tokens"] - row["reasoning_tokens"] for row in rows) / 4
