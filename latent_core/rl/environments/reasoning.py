"""Puzzles of reasoning-gym (Stojanovski et al. 2025, arXiv 2505.24760), one answer an episode, scored as it scores.

Some of those scorers evaluate an answer as Python. Such an answer reaches them only if it is written in the few
characters that its puzzle needs, none of which can call, name or loop; any other text scores as no answer does. Data
sets whose scorers cannot be made safe like this, or pay for what is no solution, are not offered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from random import Random
from typing import Any

from latent_core.config.agents import HELD_OUT
from latent_core.errors import InputError
from latent_core.puzzles import reasoning_gym
from latent_core.rl.environments.countdown_solver import any_expression, solve
from latent_core.rl.environments.protocol import EnvironmentFailed, EnvironmentSpec, Info
from latent_core.rl.environments.turn_count import TurnCount

LONGEST_ANSWER = 10_000  # characters; a longer answer scores as none
_ARITHMETIC = re.compile(r"(?!.*(?:\*\s*\*|/\s*/))[\d\s+\-*/()]{1,200}", re.DOTALL)
_LISTS = re.compile(r"[\[\]\d\s,'\"A-Z_-]{1,4000}")
_COMPLEX = re.compile(r"[\d\s.eij()+-]{1,200}", re.IGNORECASE)  # no nan: its scorer takes it for every number
# By data set, what its scorer may be given; the others take any text.
_ALPHABETS: dict[str, re.Pattern[str]] = {
    "complex_arithmetic": _COMPLEX,
    "countdown": _ARITHMETIC,
    "puzzle24": _ARITHMETIC,
    "binary_matrix": _LISTS,
    "n_queens": _LISTS,
    "spiral_matrix": _LISTS,
    "string_insertion": _LISTS,
}
_EVALUATES = "its scorer evaluates an answer as Python"
_REFUSED = {  # data set -> why it is not offered
    "coin_flip": "its scorer takes the first digits of the answer for all",
    "game_of_life_halting": "its scorer gives any text the same score",
    "intermediate_integration": _EVALUATES,
    "polynomial_multiplication": _EVALUATES,
    "simple_integration": _EVALUATES,
}
_VERSIONS = {"complex_arithmetic": 2}  # the others are at 1
_SEEDS = {"pool_matrix": 4_294_967_291}  # seeds that a generator takes, below so many: a prime below its own 2^32
FEWEST, MOST = 2, 6  # numbers of countdown
_EXAMPLES = 16  # well-formed answers to a puzzle to choose from
_ANSWER_ALONE = "Answer with the solution alone, in the format asked for. You have one try."


class ReasoningEnvironment:
    """A data set's puzzles by seed. Rewards are the scores of its `score_answer`, from 0 to 1; 1 is a full solution."""

    def __init__(self, dataset: str, settings: Mapping[str, Any]) -> None:
        self._dataset, self._settings = dataset, settings
        self._turns = TurnCount(1)
        self._set: Any = None
        self._entry: dict[str, Any] = {}

    def reset(self, seed: int) -> tuple[str, Info]:
        self._turns.begin(seed)
        self._set, self._entry = draw(self._dataset, seed, self._settings)
        return str(self._entry["question"]).strip(), {"state": 0}

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        self._turns.take()
        self._turns.finish(terminated=True)
        answer = action.strip()
        valid = bool(answer) and may_be_scored(self._dataset, answer)
        info: dict[str, Any] = {"valid": valid, "state": 1}
        try:
            score = float(self._set.score_answer(answer if valid else "", self._entry))
        except Exception as error:  # scorers are written for answers in their format, and fail in any way on others
            score, info["scorer_error"] = 0.0, f"{type(error).__name__}: {error}"[:200]
        solved = score >= 1
        info["success"] = solved
        said = "This is a solution." if solved else "This is not a solution."
        return said, min(1.0, max(0.0, score)), True, False, info


def may_be_scored(dataset: str, answer: str) -> bool:
    """Whether an answer may be given to a data set's scorer; others count as no answer."""
    pattern = _ALPHABETS.get(dataset)
    return len(answer) <= LONGEST_ANSWER and (pattern is None or pattern.fullmatch(answer) is not None)


def draw(dataset: str, seed: int, settings: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The data set of a seed and its one puzzle. Raises EnvironmentFailed where its generator finds none."""
    package = reasoning_gym()  # that it cannot be imported is no fault of the seed
    # One data set a puzzle: some draw a whole set from their seed, so that puzzles would depend on its size.
    try:
        made = package.create_dataset(dataset, seed=seed % _SEEDS.get(dataset, seed + 1), size=1, **settings)
        return made, made[0]
    except Exception as error:  # a generator may give up in any way
        raise EnvironmentFailed(
            f"environment: reasoning:{dataset} makes no puzzle of seed {seed} ({type(error).__name__}: {error}); "
            "leave this seed out"
        ) from error


def reasoning(argument: str) -> EnvironmentSpec:
    """The environment `reasoning:DATASET`, with the data set's default settings.

    Raises InputError for an unknown data set, for one whose scorer would run a model's answer as a program or pays for
    what is no solution, and for one that makes no puzzles here.
    """
    reasoning_gym()  # fills the table of data sets
    from reasoning_gym.factory import DATASETS

    if argument not in DATASETS:
        raise InputError(
            f"environment: reasoning: there is no data set {argument!r}; choose one of {', '.join(sorted(DATASETS))}"
        )
    if argument in _REFUSED:
        raise InputError(
            f"environment: reasoning:{argument} is not offered: {_REFUSED[argument]}; choose another data set"
        )
    try:
        for seed in (0, HELD_OUT):  # some generators take small seeds only
            draw(argument, seed, {})
    except EnvironmentFailed as error:
        raise InputError(f"{error}; or choose another data set") from error
    return _spec(f"reasoning:{argument}", argument, {}, _ANSWER_ALONE, None)


def countdown(argument: str) -> EnvironmentSpec:
    """The environment `countdown:N` of N numbers, 2 to 6. Raises InputError for another N."""
    if argument not in map(str, range(FEWEST, MOST + 1)):
        raise InputError(f"environment: countdown:{argument}: give {FEWEST} to {MOST} numbers, e.g. countdown:4")
    return _countdown(f"countdown:{argument}", int(argument))


def _countdown(name: str, numbers: int) -> EnvironmentSpec:
    settings = {
        "min_numbers": numbers,
        "max_numbers": numbers,
        "min_value": 1,
        "max_value": 20,
        "min_target": 10,
        "max_target": 100,
    }
    instruction = (
        "Combine the numbers with +, -, * and / and brackets so that the result is the target. Use every number "
        "exactly once. Answer with the expression alone, for example (3 + 4) * 5. You have one try."
    )
    return _spec(
        name,
        "countdown",
        settings,
        instruction,
        lambda seed: countdown_optimum(seed, settings),
        lambda seed: countdown_examples(seed, settings),
    )


def countdown_examples(seed: int, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Expressions of the numbers of a seed's puzzle, in any order and shape; few of them are solutions."""
    _, entry = draw("countdown", seed, settings)
    random = Random(f"countdown/{seed}")
    return tuple(any_expression(entry["metadata"]["numbers"], random) for _ in range(_EXAMPLES))


def countdown_optimum(seed: int, settings: Mapping[str, Any]) -> float:
    """1.0 where an exhaustive search finds a solution of a seed's puzzle, else the score of a wrong result, 0.05."""
    _, entry = draw("countdown", seed, settings)
    return 1.0 if solve(entry["metadata"]["numbers"], entry["metadata"]["target"]) else 0.05


def sudoku(argument: str) -> EnvironmentSpec:
    """The environment `sudoku:N`, N being 4 or 9 rows. Raises InputError for another N."""
    if argument not in _SUDOKUS:
        raise InputError(f"environment: sudoku:{argument}: give 4 or 9 rows, e.g. sudoku:9")
    return _sudoku(f"sudoku:{argument}", argument)


_SUDOKUS = {"4": "mini_sudoku", "9": "sudoku"}


def _sudoku(name: str, rows: str) -> EnvironmentSpec:
    instruction = (
        f"Solve the {rows}x{rows} Sudoku. Answer with the filled grid alone: one line a row, numbers separated by "
        "spaces. You have one try."
    )
    # Every puzzle has exactly one solution, which scores 1.
    return _spec(name, _SUDOKUS[rows], {}, instruction, lambda seed: 1.0)


def _spec(
    name: str,
    dataset: str,
    settings: Mapping[str, Any],
    instruction: str,
    optimum: Callable[[int], float] | None,
    example: Callable[[int], tuple[str, ...]] | None = None,
) -> EnvironmentSpec:
    return EnvironmentSpec(
        name=name,
        version=_VERSIONS.get(dataset, 1),
        instruction=instruction,
        max_turns=1,
        open=lambda: ReasoningEnvironment(dataset, settings),
        lowest=0.0,
        optimum=optimum,
        example=example,
        content=f"reasoning-gym {_release()}",
    )


@cache
def _release() -> str:
    from importlib.metadata import version

    return version("reasoning-gym")


COUNTDOWN = _countdown("countdown", 3)
SUDOKU = _sudoku("sudoku", "4")
