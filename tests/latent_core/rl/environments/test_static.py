"""Benchmarks as environments: tries, rewards, splits, and MetaMathQA from a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latent_core.benchmarks.registry import open_split
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.errors import InputError
from latent_core.rl.environments import Environment, find_environment, open_environment


def _gold(seed: int) -> str:
    return open_split(BenchmarkConfig(), "train").problems(seed, seed + 1)[0].gold


@pytest.mark.parametrize("wrong", [0, 1, 2, 3])
def test_right_answer_is_worth_half_as_much_after_each_wrong_try(wrong: int) -> None:
    environment = open_environment("static")
    environment.reset(4)
    for _ in range(wrong):
        _, reward, terminated, truncated, info = environment.step("-12345")
        assert (reward, terminated, truncated, info["valid"]) == (0.0, False, False, True)
    _, reward, terminated, truncated, info = environment.step(_gold(4))
    assert (reward, terminated, truncated, info["success"]) == (0.5**wrong, True, False, True)


def test_last_wrong_try_truncates_and_no_observation_tells_the_answer() -> None:
    spec = find_environment("static")
    environment = spec.open()
    environment.reset(4)
    told = [environment.step("-12345") for _ in range(spec.max_turns)]
    assert [truncated for *_, truncated, _ in told] == [False, False, False, True]
    assert told[-1][4]["success"] is False
    assert not any(_gold(4) in observation for observation, *_ in told)
    with pytest.raises(RuntimeError, match="reset"):
        environment.step(_gold(4))


def test_seeds_run_through_the_split_in_its_order_and_begin_again() -> None:
    source = open_split(BenchmarkConfig(), "test")
    environment = open_environment("static:word_problems@test")
    for seed in (0, 3):
        assert environment.reset(seed)[0] == source.problems(seed, seed + 1)[0].question
    assert environment.reset(10**8 + 3)[0] == environment.reset(3)[0]
    assert environment.reset(3)[0] != open_environment("static").reset(3)[0]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [
        {"question": "Simplify 2x/4.", "gold": r"\frac{x}{2}"},
        {"question": "How much is 6 times 7?", "gold": 42},
    ]
    path = tmp_path / "own@home.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_file_of_problems_is_asked_and_graded_as_mathematics(table: Path) -> None:
    spec = find_environment(f"static:file:{table}")
    environment = spec.open()
    assert environment.reset(0)[0] == environment.reset(2)[0] == "Simplify 2x/4."
    assert environment.step("x/2")[1:3] == (1.0, True)
    assert spec.content != find_environment("static").content


def test_answer_without_anything_to_grade_is_told_so_and_uses_up_a_try() -> None:
    environment = open_environment("static")
    environment.reset(4)
    observation, reward, *_, info = environment.step("  ")
    assert "No answer was found" in observation and not info["valid"] and reward == 0
    assert environment.step(_gold(4))[1] == 0.5


@settings(max_examples=20)
@given(actions=st.lists(st.text(max_size=40) | st.text(r"\boxed{}$0123", max_size=20), min_size=1, max_size=4))
def test_any_text_answers_a_static_problem(actions: list[str]) -> None:
    spec = find_environment("static")
    environment = spec.open()
    environment.reset(4)
    for turn, action in enumerate(actions, 1):
        _, reward, terminated, truncated, _ = environment.step(action)
        assert reward in (0.0, 0.5 ** (turn - 1)) and truncated == (turn == spec.max_turns and not terminated)
        if terminated or truncated:
            break


def _metamathqa_file(path: Path) -> Path:
    rows = [
        {"type": "GSM_FOBAR", "query": "What is x if x + 3 is 8?", "response": "x is 5.\n#### 5\nThe answer is: 5"},
        {
            "type": "MATH_AnsAug",
            "query": "Half of 1/2?",
            "response": r"It is $\boxed{\frac14}$. The answer is: \frac14",
        },
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_metamathqa_file_is_asked_and_graded(tmp_path: Path) -> None:
    environment = open_environment(f"metamathqa:{_metamathqa_file(tmp_path / 'rows.jsonl')}")
    assert environment.reset(0)[0] == "What is x if x + 3 is 8?"
    assert environment.step("5")[1] == 1.0
    environment.reset(1)
    assert [environment.step(action)[1] for action in ("1/3", "1/4")] == [0.0, 0.5]


def _solved(environment: Environment, seed: int) -> bool:
    """Whether one of the small whole numbers is the answer; four are tried at a time."""
    for start in range(0, 112, 4):
        environment.reset(seed)
        for number in range(start, start + 4):
            if environment.step(str(number))[2]:
                return True
    return False


def test_metamathqa_without_a_file_makes_problems_that_have_an_answer() -> None:
    environment = open_environment("metamathqa")
    questions = [environment.reset(seed)[0] for seed in range(40)]
    assert len(set(questions)) > 35
    assert environment.reset(7)[0] == questions[7]
    assert sum("unknown variable x" in question for question in questions) in range(15, 36)
    assert all(_solved(environment, seed) for seed in range(3))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("static:", "needs a benchmark after the colon, e.g. static:word_problems@test"),
        ("static:word_problem", "^environment: static:word_problem: unknown benchmark 'word_problem'; choose one of"),
        ("metamathqa:/nowhere.jsonl", "^environment: metamathqa:/nowhere.jsonl: /nowhere.jsonl does not exist"),
        ("static:file:/nowhere.jsonl", "^environment: static:file:/nowhere.jsonl: /nowhere.jsonl does not exist"),
        ("metamathqa:", "needs a file after the colon"),
        ("metamathqa:/nowhere.jsonl", "/nowhere.jsonl does not exist"),
    ],
)
def test_benchmark_that_cannot_be_opened_is_refused_with_the_fix(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        find_environment(name)
    assert "\n" not in str(refused.value)
