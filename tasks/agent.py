"""Stage `agent`: reinforcement learning of a model in an environment, with every turn that it learned from."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from latent_core.config.agents import AgentConfig, Estimator
from latent_core.rl.agent_rollouts import AgentRollouts, agent_schema
from latent_core.rl.curves import Curves, with_diagnosis
from latent_core.store import ArtifactWriter
from tasks.inputs import EnvironmentInput, Model
from tasks.stage import Outcome, Workplace, stage
from tasks.workers.warm import cool_down

ROLLOUTS = "rollouts.parquet"
# TRL's dapo is a mean over tokens, which PPO has too; the others sum over a constant length, as Dr. GRPO does.
_LOSSES = {Estimator.GRPO: "grpo", Estimator.DAPO: "dapo", Estimator.PPO: "dapo"}


class AgentInputs(NamedTuple):
    """The model to start from, and what it acts in."""

    model: Model
    environment: EnvironmentInput


@stage("agent", version=1, shown=True)
def train_agent(out: ArtifactWriter, inputs: AgentInputs, config: AgentConfig, workplace: Workplace) -> Outcome:
    from latent_core.rl.training import Sizes, train_policy

    cool_down()  # a warm vLLM engine holds nine tenths of a GPU
    model_dir, checkpoints = workplace.model_dir(inputs.model), workplace.scratch / "checkpoints"
    rollouts = AgentRollouts(inputs.environment.open(), model_dir, config, checkpoints / "rollouts")
    with out.directory("weights") as directory:
        result = train_policy(
            model_dir,
            config,
            rollouts,
            Sizes(config.episodes_per_step, config.rollout.samples, config.rollout.max_episode_tokens),
            loss=_LOSSES.get(config.estimator, "dr_grpo"),
            temperature=config.rollout.temperature,
            importance_cap=config.rollout.correction_cap,
            out_dir=directory,
            checkpoint_dir=checkpoints,
            critic=rollouts.ppo.critic if rollouts.ppo else None,
            progress=lambda done, total: workplace.progress(done, total, 0),
        )
    accounting: Counter[str] = Counter()
    curves = Curves()
    untaught = "no_signal" if rollouts.ppo is None else "value_warmup"
    with out.table(ROLLOUTS, agent_schema(values=rollouts.ppo is not None)) as table:
        for row in result.rollouts:
            curves.add(row)
            if row["end"] is not None:
                accounting["kept" if row["taught"] else untaught] += 1
            table.add(row)
    curves.add_logged(result.curve)
    accounting["aborted"] = config.episodes_per_step * (config.steps // config.iterations) - sum(accounting.values())
    return Outcome(
        accounting=accounting,
        metrics={
            "steps": with_diagnosis(curves.steps(), result.diagnosis),
            "parameters": result.total_parameters,
            "trainable_parameters": result.trainable_parameters,
        },
        record={"curve": result.curve, "resumed_from_step": result.resumed_from_step},
    )
