"""The stage `agent` with a value head: its measures by step, and what is kept of it."""

from __future__ import annotations

from latent_core.config.agents import AgentConfig
from latent_core.models.source import model_in
from tasks.agent import ROLLOUTS, AgentInputs, train_agent
from tasks.inputs import EnvironmentInput
from tests.support.stage_bench import MINI, StageBench


def test_agent_under_ppo_keeps_values_by_turn_and_measures_of_the_head_by_step_but_no_head(bench: StageBench) -> None:
    config = AgentConfig.model_validate(
        {
            "estimator": "ppo", "instances_per_step": 4, "steps": 3, "micro_batch_size": 2, "save_every": 3,
            "rollout": {"samples": 1, "max_new_tokens": 4}, "value": {"warmup_steps": 1},
        }
    )  # fmt: skip
    made = bench.perform(train_agent.call(config, AgentInputs(MINI, EnvironmentInput.find("bandit"))))
    content = made.manifest.content
    assert content.accounting == {"value_warmup": 4, "kept": 8, "aborted": 0}
    assert [step["step"] for step in content.metrics["steps"]] == [0, 1, 2]
    losses = [step["value_loss"] for step in content.metrics["steps"]]
    assert losses[0] > losses[1] > losses[2] > 0  # a format that is always wrong is always worth the same
    rows = list(made.rows_of(ROLLOUTS))
    assert {row["value"] for row in rows if row["step"] == 0} == {0.0} and all(row["value"] < 0 for row in rows[4:])
    weights = model_in(made).parent
    assert not [path for path in weights.rglob("*") if "value" in path.name]
