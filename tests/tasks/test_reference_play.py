"""The stage `reference_play`: random play and the best known, on the instances that models are measured on."""

from __future__ import annotations

from typing import Any

import pytest

from latent_core.config.agents import HELD_OUT
from latent_core.config.rl import ReferencePlayConfig
from latent_core.rl.environments import EnvironmentFailed, find_environment
from latent_core.rl.environments.bandit import Bandit
from latent_core.rl.play.random_play import RandomEpisode, random_play
from tasks.inputs import EnvironmentInput
from tasks.reference_play import ReferencePlayInputs, reference_play
from tests.support.stage_bench import StageBench


def _made(bench: StageBench, name: str, **settings: Any) -> Any:
    config = ReferencePlayConfig(instances=3, samples=2, **settings)
    return bench.perform(reference_play.call(config, ReferencePlayInputs(EnvironmentInput.find(name)))).manifest.content


def test_reference_is_random_play_and_the_optimum_of_the_held_out_instances(bench: StageBench) -> None:
    made, bandit = _made(bench, "bandit", max_turns=3), find_environment("bandit")
    instances = range(HELD_OUT, HELD_OUT + 3)
    groups = [random_play(bandit, instance, samples=2, seed=42, most_turns=3) for instance in instances]
    total = sum(one.total for group in groups for one in group)
    assert made.metrics["random"]["return"]["value"] == pytest.approx(total / 6)
    assert made.metrics["random"]["turns"] == 3 and made.metrics["random"]["success"] is None
    assert bandit.optimum is not None
    assert made.metrics["optimum"] == pytest.approx(sum(map(bandit.optimum, instances)) / 3)
    assert made.accounting == {"kept": 3, "aborted": 0}


@pytest.mark.parametrize("failing", [2, 3])
def test_reference_play_leaves_out_a_tenth_of_the_instances_and_no_more(
    bench: StageBench, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    def fails(spec: object, instance: int, **_: object) -> list[RandomEpisode]:
        if instance - HELD_OUT < failing:
            raise EnvironmentFailed("down")
        return [RandomEpisode(1.0, 2, True)]

    monkeypatch.setattr("tasks.reference_play.random_play", fails)
    inputs = ReferencePlayInputs(EnvironmentInput.find("bandit"))
    call = reference_play.call(ReferencePlayConfig(instances=20), inputs)
    if failing > 2:
        with pytest.raises(EnvironmentFailed, match=r"bandit failed in more than a tenth of 20.* last time: down$"):
            bench.perform(call)
    else:
        assert bench.perform(call).manifest.content.accounting == {"kept": 18, "aborted": 2}


def test_reference_of_an_environment_that_takes_whole_texts_is_its_optimum_alone(bench: StageBench) -> None:
    assert _made(bench, "static").metrics == {"random": None, "optimum": 1.0}


def test_first_instance_without_an_answer_is_one_that_is_left_out(
    bench: StageBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    reset = Bandit.reset

    def fails_at_first(self: Bandit, seed: int) -> Any:
        if seed == HELD_OUT:
            raise EnvironmentFailed("down")
        return reset(self, seed)

    monkeypatch.setattr(Bandit, "reset", fails_at_first)
    call = reference_play.call(ReferencePlayConfig(instances=10), ReferencePlayInputs(EnvironmentInput.find("bandit")))
    made = bench.perform(call).manifest.content
    assert made.accounting == {"kept": 9, "aborted": 1}
    assert (made.metrics["random"]["instances"], made.metrics["random"]["episodes"]) == (9, 36)
