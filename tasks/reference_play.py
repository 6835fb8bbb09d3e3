"""Stage `reference_play`: what random play and the best play known come to on the instances models are measured on."""

from __future__ import annotations

from typing import NamedTuple

from latent_core.config.agents import HELD_OUT
from latent_core.config.rl import ReferencePlayConfig
from latent_core.rl.environments import EnvironmentFailed
from latent_core.rl.play.patience import Patience
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
    is_random: bool | None = None  # the first instance that answers shows it
    lost: set[int] = set()
    patience = Patience(spec.name, config.instances)
    for done, instance in enumerate(instances, start=1):
        try:
            if is_random is None:
                is_random = can_be_random(spec, instance)
            if is_random:
                played[instance] = random_play(
                    spec, instance, samples=config.samples, seed=config.seed, most_turns=config.max_turns
                )
        except EnvironmentFailed as error:
            lost.add(instance)
            patience.spend(1, error)
        workplace.progress(done, config.instances, 0)
    answered = [instance for instance in instances if instance not in lost]
    best = None if spec.optimum is None or not answered else sum(map(spec.optimum, answered)) / len(answered)
    return Outcome(
        accounting={"kept": len(answered), "aborted": patience.spent},
        metrics={"random": summary_of_random_play(list(played.values())) if played else None, "optimum": best},
    )
