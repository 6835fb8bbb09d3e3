"""What holds for every environment by name: seeded, replayable, bounded, and never broken by text."""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Callable, Hashable, Iterator
from statistics import mean
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latent_core.errors import InputError
from latent_core.rl.environments import (
    Environment,
    EnvironmentSpec,
    Info,
    environment_names,
    find_environment,
    open_environment,
)
from tests.support.pages import ROOT

TRIES = {"code", "countdown", "metamathqa", "static", "sudoku"}
Answer = tuple[str, float, bool, bool, Info]
SEEDS = st.integers(0, 2**63 - 1)
ODD_TEXTS = ["", " ", "\n", "\x00", "left || left", "1e999", "</think>", "<|im_end|>", "é" * 50, "[" * 500, "-1", "{}"]

every_environment = pytest.mark.parametrize("name", environment_names())
NO_OPTIMUM = {"game_2048"}  # nobody knows the best play


def _random_text(random_: random.Random) -> str:
    return random_.choice([*ODD_TEXTS, str(random_.random())])


def _legal_choice(info: Info, random_: random.Random) -> str:
    """A legal action where they are listed, else any text."""
    legal = info.get("legal")
    return random_.choice(legal) if legal else _random_text(random_)


def _play(environment: Environment, seed: int, choose: Callable[[Info], str]) -> Iterator[tuple[str, Answer]]:
    """Plays to the end; yields each action with its answer."""
    _, info = environment.reset(seed)
    is_over = False
    while not is_over:
        action = choose(info)
        answer = environment.step(action)
        info, is_over = answer[4], answer[2] or answer[3]
        yield action, answer


def _check_answer(spec: EnvironmentSpec, turn: int, answer: Answer) -> None:
    observation, reward, terminated, truncated, info = answer
    assert isinstance(observation, str) and isinstance(terminated, bool) and isinstance(truncated, bool)
    assert isinstance(reward, (int, float)) and math.isfinite(reward)
    assert not (terminated and truncated)
    assert terminated or truncated == (turn == spec.max_turns)
    assert isinstance(info.get("valid", True), bool) and isinstance(info.get("state"), Hashable)
    hash(info.get("state"))
    if "success" in info:
        assert isinstance(info["success"], bool) and (terminated or truncated)
    if "legal" in info:
        assert isinstance(info["legal"], tuple) and all(isinstance(action, str) for action in info["legal"])
        assert info["legal"] or terminated or truncated


@every_environment
def test_spec_tells_what_a_user_must_know(name: str) -> None:
    spec = find_environment(name)
    assert spec.name == name and spec.version >= 1 and spec.max_turns >= 1
    assert spec.instruction.isascii() and 20 < len(spec.instruction) < 1500
    assert "action" in spec.instruction.lower() or spec.max_turns == 1 or spec.takes_text
    assert "<" not in spec.instruction, "reads as a mark or a special token"


@every_environment
@settings(max_examples=5)
@given(seed=SEEDS, choices=st.integers(0))
def test_legal_play_of_any_seed_ends_within_the_turn_limit(name: str, seed: int, choices: int) -> None:
    spec, random_ = find_environment(name), random.Random(choices)
    played = list(_play(spec.open(), seed, lambda info: _legal_choice(info, random_)))
    for turn, (_, answer) in enumerate(played, 1):
        _check_answer(spec, turn, answer)
    if "legal" in spec.open().reset(seed)[1]:
        assert all(answer[4]["valid"] for _, answer in played)


@every_environment
@pytest.mark.parametrize("is_legal", [True, False], ids=["legal", "illegal"])
def test_play_is_never_worth_less_than_the_lowest_return(name: str, is_legal: bool) -> None:
    """Not after any turn: a configured limit of turns may end an episode there."""
    spec, random_ = find_environment(name), random.Random(0)
    for seed in range(3 if name == "code" else 20):
        total = 0.0
        for _, answer in _play(spec.open(), seed, lambda info: _legal_choice(info, random_) if is_legal else "no act"):
            total += answer[1]
            assert total >= spec.lowest - 1e-9


@every_environment
@settings(max_examples=10)
@given(seed=SEEDS, texts=st.lists(st.text(max_size=40) | st.sampled_from(ODD_TEXTS), min_size=1, max_size=5))
def test_any_text_is_answered_and_what_is_illegal_changes_no_state(name: str, seed: int, texts: list[str]) -> None:
    spec = find_environment(name)
    environment = spec.open()
    _, before = environment.reset(seed)
    for turn, text in enumerate(texts, 1):
        answer = environment.step(text)
        _check_answer(spec, turn, answer)
        info = answer[4]
        if info.get("valid") is False:
            # Where a try is spent, the number of tries is the state; where there is one turn, it is over.
            assert info.get("state") == (turn if name in TRIES else before.get("state"))
            assert not answer[2] or spec.max_turns == 1
        if answer[2] or answer[3]:
            break
        before = info


@every_environment
def test_legal_action_is_read_in_any_case_and_with_white_space(name: str) -> None:
    plain, shouted = open_environment(name), open_environment(name)
    _, info = plain.reset(3)
    shouted.reset(3)
    for action in info.get("legal", ())[:1]:
        assert plain.step(action) == shouted.step(f" \n{action.upper()}\t")


def _record(name: str, seed: int) -> list[Any]:
    """First observation and all answers of a game of random legal play, as JSON has them."""
    random_ = random.Random(seed)
    environment = open_environment(name)
    first, info = environment.reset(seed)
    played = list(_play(environment, seed, lambda info: _legal_choice(info, random_)))
    return [first, repr(dict(info)), [[action, *answer[:4], repr(dict(answer[4]))] for action, answer in played]]


@every_environment
def test_same_seed_and_actions_give_the_same_answers_whatever_went_before(name: str) -> None:
    random.seed(1)
    np.random.seed(1)
    played = _record(name, 5)
    random.seed(2)
    np.random.seed(2)
    environment = open_environment(name)
    environment.reset(6)
    actions = iter([action for action, *_ in played[2]])
    assert environment.reset(5)[0] == played[0]
    again = list(_play(environment, 5, lambda _: next(actions)))
    assert [[action, *answer[:4], repr(dict(answer[4]))] for action, answer in again] == played[2]


@every_environment
def test_games_played_side_by_side_do_not_touch_each_other(name: str) -> None:
    alone = _record(name, 5)[2]
    one, other = open_environment(name), open_environment(name)
    one.reset(5)
    other.reset(5)
    for action, *answer in alone[: len(alone) // 2]:
        assert list(one.step(action)[:4]) == answer[:4]
    other.step(alone[-1][0])
    for action, *answer in alone[len(alone) // 2 :]:
        assert list(one.step(action)[:4]) == answer[:4]


def _digest(names: list[str]) -> str:
    played = [_record(name, seed) for name in names for seed in range(3)]
    return hashlib.sha256(json.dumps(played).encode()).hexdigest()


def test_another_process_with_other_hashes_plays_the_same() -> None:
    names = environment_names()
    module = "tests.latent_core.rl.environments.test_every_environment"
    code = f"import sys; sys.path.insert(0, '.'); from {module} import _digest; print(_digest({names!r}))"
    process = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "77"},
    )
    assert process.stdout.split()[-1] == _digest(names)


@every_environment
def test_step_before_reset_and_after_the_end_raises(name: str) -> None:
    environment = open_environment(name)
    with pytest.raises(RuntimeError, match="reset"):
        environment.step("left")
    random_ = random.Random(0)
    for _ in _play(environment, 0, lambda info: _legal_choice(info, random_)):
        pass
    with pytest.raises(RuntimeError, match="reset"):
        environment.step("left")
    assert environment.reset(0)[0]


@every_environment
def test_seeds_give_different_instances(name: str) -> None:
    environment = open_environment(name)
    assert len({environment.reset(seed)[0] for seed in range(10)}) > 5


@every_environment
def test_negative_seed_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="seed"):
        open_environment(name).reset(-1)


@every_environment
@pytest.mark.parametrize("seed", [1.5, 1.0, True, "1", None])
def test_seed_that_is_no_whole_number_is_refused(name: str, seed: Any) -> None:
    with pytest.raises(InputError, match=r"^seed: must be a whole number, not"):
        open_environment(name).reset(seed)


def test_optimum_is_known_but_for_the_games_named_here() -> None:
    assert {name for name in environment_names() if find_environment(name).optimum is None} == NO_OPTIMUM


@pytest.mark.parametrize("name", sorted(set(environment_names()) - NO_OPTIMUM))
def test_random_play_is_worth_no_more_than_the_optimum(name: str) -> None:
    spec = find_environment(name)
    assert spec.optimum is not None
    random_ = random.Random(0)
    returns = [
        sum(answer[1] for _, answer in _play(spec.open(), seed, lambda info: _legal_choice(info, random_)))
        for seed in range(20)
    ]
    assert mean(returns) <= mean(spec.optimum(seed) for seed in range(20))
    assert spec.optimum(4) == spec.optimum(4)
