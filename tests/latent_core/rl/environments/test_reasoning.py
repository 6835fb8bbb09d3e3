"""Puzzles of reasoning-gym: an exact solver agrees with the scorer, and no answer is run as a program."""

from __future__ import annotations

from fractions import Fraction
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latent_core.config.agents import HELD_OUT
from latent_core.errors import InputError
from latent_core.puzzles import reasoning_gym
from latent_core.rl.environments import find_environment, open_environment
from latent_core.rl.environments.countdown_solver import solve
from latent_core.rl.environments.reasoning import draw
from tests.support.pages import ROOT


def _numbers_and_target(name: str, seed: int) -> tuple[list[int], int]:
    environment = open_environment(name)
    environment.reset(seed)
    metadata = environment._entry["metadata"]  # type: ignore[attr-defined]
    return metadata["numbers"], metadata["target"]


@pytest.mark.parametrize("name", ["countdown", "countdown:4"])
@pytest.mark.parametrize("seed", [0, 7, 1234])
def test_countdown_solution_of_the_exact_solver_scores_the_optimum(name: str, seed: int) -> None:
    expression = solve(*_numbers_and_target(name, seed))
    assert expression is not None
    environment = open_environment(name)
    environment.reset(seed)
    _, reward, terminated, truncated, info = environment.step(expression)
    optimum = find_environment(name).optimum
    assert optimum is not None
    assert reward == 1.0 == optimum(seed)
    assert (terminated, truncated, info["success"], info["valid"]) == (True, False, True, True)


def test_countdown_solver_finds_what_needs_fractions_and_nothing_that_is_not_there() -> None:
    expression = solve([3, 3, 8, 8], 24)  # only 8 / (3 - 8 / 3)
    assert expression is not None
    assert eval(expression.replace("8", "Fraction(8)"), {"Fraction": Fraction}) == 24
    assert solve([1, 1, 1], 10) is None
    assert solve([1, 2, 3], 5) is not None  # every number is used: 2 + 3 alone would not do
    assert solve([2, 7], 2) is None


@pytest.mark.parametrize(
    "action",
    ["9**9**9**9", "{0} ** {1} ** {2}", "7 // 2", "1.5 + 2", "__import__('os').getcwd()", "", " ", "(" * 150, "1/0"],
)
def test_countdown_answer_that_is_no_arithmetic_scores_as_no_answer(action: str) -> None:
    numbers, _ = _numbers_and_target("countdown", 3)
    environment = open_environment("countdown")
    environment.reset(3)
    _, reward, terminated, _, info = environment.step(action.format(*numbers))
    assert reward == 0.01 and terminated and not info["success"]


def test_countdown_wrong_result_with_the_right_numbers_scores_little() -> None:
    environment = open_environment("countdown")
    numbers, target = _numbers_and_target("countdown", 3)
    wrong = " - ".join(map(str, sorted(numbers)))
    environment.reset(3)
    assert eval(wrong) != target
    assert environment.step(wrong)[1] == 0.05


@pytest.mark.parametrize("name", ["reasoning:spiral_matrix", "reasoning:n_queens", "countdown"])
def test_scorer_that_evaluates_answers_never_runs_one(name: str, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    environment = open_environment(name)
    environment.reset(0)
    assert environment.step(f"[open({str(mark)!r}, 'w')]")[1] <= 0.01
    assert not mark.exists()


@pytest.mark.parametrize(("name", "dataset", "rows"), [("sudoku", "mini_sudoku", 4), ("sudoku:9", "sudoku", 9)])
def test_sudoku_full_solution_scores_one_and_a_grid_with_an_error_less(name: str, dataset: str, rows: int) -> None:
    _, entry = draw(dataset, 5, {})
    solution = entry["answer"]
    grid = [line.split() for line in solution.splitlines()]
    assert all(sorted(line) == sorted({*line}) and len(line) == rows for line in grid)
    environment = open_environment(name)
    environment.reset(5)
    assert environment.step(solution)[1] == 1.0
    environment.reset(5)
    swapped = "\n".join([solution.splitlines()[1], solution.splitlines()[0], *solution.splitlines()[2:]])
    assert environment.step(swapped)[1] < 1.0


@pytest.mark.parametrize("name", ["countdown", "sudoku", "reasoning:chain_sum", "reasoning:knights_knaves"])
def test_puzzle_of_a_seed_is_the_same_in_another_environment(name: str) -> None:
    first, second = open_environment(name), open_environment(name)
    first.reset(8)
    assert first.reset(2)[0] == second.reset(2)[0] != second.reset(3)[0]


@settings(max_examples=15)
@given(action=st.text(max_size=60) | st.text("0123456789+-*/() []',_Q\n", max_size=60))
@pytest.mark.parametrize("name", ["countdown", "sudoku", "reasoning:spiral_matrix", "reasoning:n_queens"])
def test_any_text_is_an_answer(name: str, action: str) -> None:
    environment = open_environment(name)
    environment.reset(1)
    _, reward, terminated, truncated, info = environment.step(action)
    assert 0 <= reward <= 1 and terminated and not truncated
    assert isinstance(info["valid"], bool) and "scorer_error" not in info


def _data_sets() -> list[str]:
    reasoning_gym()
    from reasoning_gym.factory import DATASETS

    return sorted(DATASETS)


REFUSED = {
    *("coin_flip", "composite", "game_of_life_halting"),
    *("intermediate_integration", "polynomial_multiplication", "simple_integration"),
}
NEEDS_PYCOSAT, HAS_PYCOSAT = "zebra_puzzles", "pycosat" in packages_distributions()
SLOW = {"arc_agi", "codeio", "figlet_font", "group_anagrams", "knight_swap", "quantum_lock", "word_ladder"}


@pytest.mark.parametrize(
    "dataset",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name
        for name in _data_sets()
        if name not in REFUSED and (name != NEEDS_PYCOSAT or HAS_PYCOSAT)
    ],
)
def test_answer_that_says_nothing_is_no_full_solution_of_any_data_set_that_is_offered(dataset: str) -> None:
    environment = open_environment(f"reasoning:{dataset}")
    for seed in (0, HELD_OUT):  # the first that examples have, and the first that models are measured on
        environment.reset(seed)
        for answer in ("zzz", "nan", "", "[]", "{}"):
            environment.reset(seed)
            _, reward, _, _, info = environment.step(answer)
            assert reward < 1 and not info["success"], (seed, answer)


@pytest.mark.slow
def test_data_sets_that_are_not_offered_are_those_of_the_documentation() -> None:
    refused = set()
    for dataset in _data_sets():
        try:
            find_environment(f"reasoning:{dataset}")
        except InputError:
            refused.add(dataset)
    page = (ROOT / "docs" / "environments_reasoning.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith("| `reasoning:DATASET`"))
    assert "but six" in row and refused - {NEEDS_PYCOSAT} == REFUSED
    assert all(f"`{dataset}`" in page for dataset in {*refused, NEEDS_PYCOSAT})


@pytest.mark.parametrize("answer", ["nan", "NaN", "nanj", "nan+nanj", "( nan )", "inf", "infj", "1 + nani"])
def test_complex_number_that_is_none_scores_as_no_answer(answer: str) -> None:
    environment = open_environment("reasoning:complex_arithmetic")
    environment.reset(0)
    _, reward, _, _, info = environment.step(answer)
    assert reward == 0 and info["valid"] is False


def test_complex_number_in_any_writing_of_its_scorer_still_scores_one() -> None:
    _, entry = draw("complex_arithmetic", 0, {})
    real, imaginary = entry["metadata"]["result"]
    for answer in (entry["answer"], f"({real:.0f} + {imaginary:.0f}i)", f"{real:.1e}+{imaginary:.1e}J"):
        environment = open_environment("reasoning:complex_arithmetic")
        environment.reset(0)
        assert environment.step(answer)[1] == 1.0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("countdown:7", "countdown:7: give 2 to 6 numbers"),
        ("countdown:x", "give 2 to 6 numbers"),
        ("sudoku:5", "sudoku:5: give 4 or 9 rows"),
        ("reasoning:countdowns", "there is no data set 'countdowns'; choose one of"),
        ("reasoning:simple_integration", "its scorer evaluates an answer as Python; choose another"),
        ("reasoning:game_of_life_halting", "not offered: its scorer gives any text the same score; choose another"),
        ("reasoning:coin_flip", "not offered: its scorer takes the first digits of the answer for all; choose another"),
    ],
)
def test_argument_that_names_no_puzzle_is_refused_with_the_fix(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        find_environment(name)
    assert "\n" not in str(refused.value)


def test_step_before_the_reset_or_after_the_end_is_an_error_of_the_caller() -> None:
    environment = open_environment("countdown")
    with pytest.raises(RuntimeError, match="reset"):
        environment.step("1 + 2")
    environment.reset(0)
    environment.step("1 + 2")
    with pytest.raises(RuntimeError, match="reset"):
        environment.step("1 + 2")
    with pytest.raises(InputError, match="seed: must be at least 0, not -1"):
        environment.reset(-1)


def test_generator_that_takes_small_seeds_only_makes_puzzles_of_large_ones_too() -> None:
    environment = open_environment("reasoning:pool_matrix")
    assert len({environment.reset(seed)[0] for seed in (0, 1, HELD_OUT, HELD_OUT + 1, 2**62)}) == 5


def test_data_set_that_makes_no_puzzle_to_measure_on_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latent_core.rl.environments.reasoning._SEEDS", {})
    with pytest.raises(
        InputError, match=r"reasoning:pool_matrix makes no puzzle of seed 1099511627776 .*another data s"
    ):
        find_environment("reasoning:pool_matrix")
