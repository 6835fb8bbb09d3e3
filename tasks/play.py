"""Stage `play`: a model's episodes on seeds that training never draws, turn by turn, and what they come to."""

from __future__ import annotations

from typing import NamedTuple

from latent_core.config.agents import HELD_OUT, PlayConfig
from latent_core.generate.vllm_engine import context_of
from latent_core.rl.play.dialogue import Dialogue
from latent_core.rl.play.episodes import Episode, Player, instruction_of
from latent_core.rl.play.patience import Patience
from latent_core.rl.play.turn_table import summary_of_play, turn_rows
from latent_core.store import ArtifactWriter
from tasks.inputs import EnvironmentInput, Model
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import TURNS
from tasks.workers.engines import served, warm_engine
from tasks.workers.warm import warm_readable

_TOGETHER = 256  # instances of one call: bounds what is held, and lets progress be seen


class PlayInputs(NamedTuple):
    """The model that plays, and the environment."""

    model: Model
    environment: EnvironmentInput


@stage("play", version=2, shown=True)
def play(out: ArtifactWriter, inputs: PlayInputs, config: PlayConfig, workplace: Workplace) -> Outcome:
    spec = inputs.environment.open()
    model = served(workplace, inputs.model, config.sampling)
    readable = warm_readable(model.model_dir, inputs.model.fingerprint)
    player = Player(
        readable,
        warm_engine(model, inputs.model.fingerprint, config.sampling),
        config.sampling,
        spec,
        Dialogue(readable, instruction_of(spec)),
        context_of(model.model_dir),
        format_penalty=config.rules.format_penalty,
        most_turns=config.rules.max_turns,
    )
    groups: list[list[Episode]] = []
    patience = Patience(spec.name, config.instances)
    with TURNS.write(out) as table:
        for start in range(0, config.instances, _TOGETHER):
            seeds = range(HELD_OUT + start, HELD_OUT + min(start + _TOGETHER, config.instances))
            played = player.play(seeds, samples=config.sampling.samples, step=0, patience=patience.left)
            patience.spend(played.groups.count(None), played.failure)
            for group in played.groups:
                if group is None:
                    continue
                groups.append(group)
                for episode in group:
                    table.extend(turn_rows(episode, readable))
            workplace.progress(start + len(seeds), config.instances, 0)
    metrics = summary_of_play(groups)
    if spec.optimum is not None and groups:
        metrics["optimum"] = sum(spec.optimum(group[0].seed) for group in groups) / len(groups)
    return Outcome(accounting={"kept": len(groups), "aborted": patience.spent}, metrics=metrics)
