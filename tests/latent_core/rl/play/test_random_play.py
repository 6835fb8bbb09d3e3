"""Random play: legal or well-formed actions, the same for the same seed, and what they come to."""

from __future__ import annotations

import re

import pytest

from latent_core.errors import InputError
from latent_core.rl.environments import find_environment
from latent_core.rl.environments.bandit import BANDIT
from latent_core.rl.environments.reasoning import COUNTDOWN, SUDOKU
from latent_core.rl.environments.static import STATIC
from latent_core.rl.play.random_play import RandomEpisode, can_be_random, choices, random_play, summary_of_random_play


def test_random_play_of_a_seed_repeats_itself() -> None:
    both = [random_play(BANDIT, instance, samples=2, seed=1) for instance in (3, 4)]
    assert random_play(BANDIT, 4, samples=2, seed=1) == both[1]
    one, other = ([random_play(BANDIT, instance, samples=2, seed=seed) for instance in range(8)] for seed in (1, 2))
    assert one != other
    assert all(episode.turns == 4 and episode.success is None for group in both for episode in group)


def test_random_play_takes_no_more_turns_than_a_model_may() -> None:
    assert [one.turns for one in random_play(BANDIT, 3, samples=3, seed=1, most_turns=2)] == [2, 2, 2]


@pytest.mark.parametrize("seed", range(5))
def test_examples_of_countdown_use_every_number_once_and_are_taken_as_answers(seed: int) -> None:
    environment = COUNTDOWN.open()
    observation, info = environment.reset(seed)
    numbers = re.search(r"numbers: ([\d, ]+)", observation)
    assert numbers is not None
    examples = choices(COUNTDOWN, info, seed)
    assert len(set(examples)) > 4
    for example in examples:
        assert sorted(map(int, re.findall(r"\d+", example))) == sorted(map(int, numbers[1].split(", ")))
    _, reward, _, _, told = environment.step(examples[0])
    assert told["valid"] and "scorer_error" not in told and reward in (0.05, 1.0)


def test_environment_without_legal_actions_or_examples_cannot_be_played_at_random() -> None:
    assert not can_be_random(SUDOKU, 0) and not can_be_random(STATIC, 0)
    assert can_be_random(COUNTDOWN, 0) and can_be_random(find_environment("frozen_lake"), 0)
    with pytest.raises(InputError, match="sudoku lists no legal actions and has no examples"):
        random_play(SUDOKU, 0, samples=1, seed=0)


def test_actions_that_a_model_cannot_write_as_one_are_left_out() -> None:
    spec = find_environment("frozen_lake")
    listed = {"legal": ("", " ", "click[a || b]", "use </answer> now", " up ", "say <answer>", "a|b", "</think>")}
    assert choices(spec, listed, 0) == (" up ", "a|b", "</think>")
    with pytest.raises(InputError, match=r"frozen_lake lists no action that can stand between .* such as 'a \|\| b'"):
        choices(spec, {"legal": ("a || b", "")}, 0)


def test_summary_counts_instances_and_not_episodes() -> None:
    won, lost, untold = RandomEpisode(1.0, 2, True), RandomEpisode(0.0, 4, False), RandomEpisode(0.5, 1, None)
    found = summary_of_random_play([[won, won], [won, lost]])
    assert (found["return"]["value"], found["success"]["value"], found["turns"]) == (0.75, 0.75, 2.5)
    assert (found["episodes"], found["instances"]) == (4, 2)
    assert found["return"]["low"] == 0.5 and found["return"]["high"] == 1.0
    assert summary_of_random_play([[untold]])["success"] is None


def test_episode_that_the_turn_limit_cut_was_not_won_where_there_is_a_goal() -> None:
    won, cut = RandomEpisode(1.0, 2, True), RandomEpisode(0.0, 8, None)
    found = summary_of_random_play([[won, cut], [cut, cut]])
    assert found["success"]["value"] == found["return"]["value"] == 0.25
    spec = find_environment("frozen_lake")
    lake = summary_of_random_play([random_play(spec, seed, samples=4, seed=1, most_turns=3) for seed in range(20)])
    assert lake["success"]["value"] == lake["return"]["value"] > 0  # one point for each goal
