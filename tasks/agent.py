"""Stage `agent`: reinforcement learning of a model in an environment, with every turn that it learned from."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from latent_core.config.agents import AgentConfig, Estimator
from latent_core.rl.curves import Curves, with_diagnosis
from latent_core.rl.rollouts.agent_rollouts import agent_schema
from latent_core.store import ArtifactWriter
from tasks.inputs import EnvironmentInput, Model
from tasks.stage import Outcome, Workplace, stage
from tasks.workers.training import checkpoints_of, training_progress
from tasks.workers.warm import cool_down

ROLLOUTS = "rollouts.parquet"


class AgentInputs(NamedTuple):
    """The model to start from, and what it acts in."""

    model: Model
    environment: EnvironmentInput


@stage("agent", version=1, shown=True)
def train_agent(out: ArtifactWriter, inputs: AgentInputs, config: AgentConfig, workplace: Workplace) -> Outcome:
    from latent_core.rl.training.agent import reinforce_agent

    cool_down()  # a warm vLLM engine holds nine tenths of a GPU
    inputs.environment.open()  # refuses one that changed since the run was planned
    with out.directory("weights") as directory:
        result = reinforce_agent(
            workplace.model_dir(inputs.model),
            inputs.environment.name,
            config,
            out_dir=directory,
            checkpoint_dir=checkpoints_of(workplace),
            progress=training_progress(workplace),
        )
    accounting: Counter[str] = Counter()
    curves = Curves()
    has_values = config.estimator is Estimator.PPO
    untaught = "value_warmup" if has_values else "no_signal"
    with out.table(ROLLOUTS, agent_schema(values=has_values)) as table:
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
