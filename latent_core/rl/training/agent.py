"""Training of an agent: episodes in an environment, in this process or in several."""

from __future__ import annotations

from pathlib import Path

from latent_core.config.agents import AgentConfig, Estimator
from latent_core.rl.environments import find_environment
from latent_core.rl.rollouts.agent_rollouts import AgentRollouts, agent_schema
from latent_core.rl.training.launch import launch, launches
from latent_core.rl.training.loop import ROLLOUTS, PolicyResult, Sizes, launched_result, train_policy
from latent_core.sft.rank import Progress

# TRL's dapo is a mean over tokens, which PPO has too; the others sum over a constant length, as Dr. GRPO does.
_LOSSES = {Estimator.GRPO: "grpo", Estimator.DAPO: "dapo", Estimator.PPO: "dapo"}


def reinforce_agent(
    model_dir: Path,
    environment: str,
    config: AgentConfig,
    *,
    out_dir: Path,
    checkpoint_dir: Path,
    progress: Progress | None = None,
) -> PolicyResult:
    """Train the model in `model_dir` in an environment, by its name; see `training.reinforce`.

    Raises InputError for an unknown environment, and for settings that do not fit the model or the machine.
    """
    if launches(config, "agent"):
        more = {"environment": environment}
        measured = launch(
            "agent", model_dir, config, more, out_dir=out_dir, checkpoint_dir=checkpoint_dir, progress=progress
        )
        return launched_result(measured, config, checkpoint_dir, agent_schema(values=config.estimator is Estimator.PPO))
    rollouts = AgentRollouts(find_environment(environment), model_dir, config, checkpoint_dir / ROLLOUTS)
    return train_policy(
        model_dir,
        config,
        rollouts,
        Sizes(config.episodes_per_step, config.rollout.samples, config.rollout.max_episode_tokens),
        loss=_LOSSES.get(config.estimator, "dr_grpo"),
        temperature=config.rollout.temperature,
        importance_cap=config.rollout.correction_cap,
        out_dir=out_dir,
        checkpoint_dir=checkpoint_dir,
        critic=rollouts.ppo.critic if rollouts.ppo else None,
        progress=progress,
    )
