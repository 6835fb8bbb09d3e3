"""Stage `reference_play`: what random play and the best play known come to on the instances models are measured on."""

from __future__ import annotations

from typing import NamedTuple

from latent_core.config.agents import HELD_OUT
from latent_core.config.rl import ReferencePlayConfig
from latent_core.rl.play.random_play import RandomEpisode, can_be_random, random_play, summary_of_random_play
from latent_core.store import ArtifactWriter
from tasks.inputs import EnvironmentInput
from tasks.stage import Outcome, Workplace, stage


class ReferencePlayInputs(NamedTuple):
    """What is played."""

    environment: EnvironmentInput


@stage("reference_play", version=2)
def reference_play(
    out: ArtifactWriter, inputs: ReferencePlayInputs, config: ReferencePlayConfig, workplace: Workplace
) -> Outcome:
    spec = inputs.environment.open()
    instances = range(HELD_OUT, HELD_OUT + config.instances)
    played: dict[int, list[RandomEpisode]] = {}
    is_random = can_be_random(spec, instances[0])
    for done, instance in enumerate(instances, start=1):
        if is_random:
            (group,) = random_play(
                spec, [instance], samples=config.samples, seed=config.seed, most_turns=config.max_turns
            )
            if group is not None:
                played[instance] = group
        workplace.progress(done, config.instances, 0)
    answered = list(played) if is_random else instances
    best = None if spec.optimum is None or not answered else sum(map(spec.optimum, answered)) / len(answered)
    return Outcome(
        accounting={"kept": len(answered), "aborted": config.instances - len(answered)},
        metrics={"random": summary_of_random_play(list(played.values())) if played else None, "optimum": best},
    )
