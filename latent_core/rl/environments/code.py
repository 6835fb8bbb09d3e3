"""Programming with unit tests as the judge, as DeepCoder trains: reward 1 for a program that passes all tests.

The model may mend its program after a failed test; the reward is halved by each failed try. Programs run within the
limits of `confined.py`. Expected results never enter the process of a program, so it has nothing to tamper with.
"""

from __future__ import annotations

import builtins
import math
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from latent_core.identity import hash_file
from latent_core.rl.environments.code_problems import CodeProblem, make_problem, read_problems, shown
from latent_core.rl.environments.confined import End, Limits, Run, call_function, run_program
from latent_core.rl.environments.confined_program import MODULES
from latent_core.rl.environments.protocol import EnvironmentSpec, Info
from latent_core.rl.environments.turn_count import TurnCount

TRIES = 3
LONGEST_PROGRAM = 50_000  # characters
_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)
_OFFERED = ", ".join(name for name in MODULES if not name.startswith(("_", "encodings")))
INSTRUCTION = (
    "Solve the problem in Python 3. Answer with the complete program alone; a block marked with ```python may stand "
    "around it. It is judged by tests, most of which you are not shown. It can neither open files nor start threads or "
    f"other programs, and may import {_OFFERED}. You have {TRIES} tries."
)
_SAID = {
    End.CPU_TIME: "it computes for too long",
    End.WALL_TIME: "it waits for too long",
    End.OUTPUT: "it prints or returns too much",
}


_BUILT_IN = {
    name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)
}


class CodeEnvironment:
    """The problems that `problem_of` gives for a seed."""

    def __init__(self, problem_of: Callable[[int], CodeProblem], limits: Limits | None = None) -> None:
        self._problem_of, self._limits = problem_of, limits or Limits()
        self._turns = TurnCount(TRIES)
        self._problem: CodeProblem | None = None

    def reset(self, seed: int) -> tuple[str, Info]:
        self._turns.begin(seed)
        self._problem = problem = self._problem_of(seed)
        return f"{problem.text}\n{shown(problem.tests[0], problem.function)}", {"state": 0}

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        self._turns.take()
        assert self._problem is not None
        source = program_in(action)
        valid = bool(source.strip()) and len(source) <= LONGEST_PROGRAM
        if not valid:
            failure: str | None = f"There is no program, or one of more than {LONGEST_PROGRAM} characters."
        else:
            failure = _judged(self._problem, source, self._limits)
        passed = failure is None
        reward = 0.5 ** (self._turns.used - 1) if passed else 0.0
        truncated = self._turns.finish(terminated=passed)
        info: dict[str, Any] = {"valid": valid, "state": self._turns.used}
        if passed or truncated:
            info["success"] = passed
        if failure is None:
            return "All tests passed.", reward, True, False, info
        return f"{failure} {'There are no tries left.' if truncated else 'Try again.'}", reward, False, truncated, info


def program_in(action: str) -> str:
    """The program in an action: its last block marked with three backticks, else the whole of it."""
    blocks = _FENCE.findall(action)
    return str(blocks[-1]) if blocks else action


def _judged(problem: CodeProblem, source: str, limits: Limits) -> str | None:
    """What is wrong with a program, in one sentence; None where it passes all tests."""
    tests = problem.tests
    if problem.function is not None:
        # The shown test is run apart: what a program says of it is told, and may then hold no other test's input.
        return _called(problem, source, range(1), limits) or _called(problem, source, range(1, len(tests)), limits)
    for number, test in enumerate(tests):
        run = run_program(source, test.given, limits)
        if run.end is not End.FINISHED:
            return _failed(problem, number, _reason(run, is_shown=number == 0))
        if not same_text(run.output, test.expected):
            return _failed(problem, number, _wrong(number, run.output))
    return None


def _called(problem: CodeProblem, source: str, numbers: range, limits: Limits) -> str | None:
    """What is wrong with a function in the tests of these numbers, which share a process."""
    assert problem.function is not None
    if not numbers:
        return None
    run = call_function(source, problem.function, [problem.tests[number].given for number in numbers], limits)
    for place, number in enumerate(numbers):
        if place == len(run.results):
            return _failed(problem, number, _reason(run, is_shown=number == 0))
        if not same(run.results[place], problem.tests[number].expected):
            return _failed(problem, number, _wrong(number, run.results[place]))
    if run.end is End.FINISHED and len(run.results) == len(numbers):
        return None
    # The program can write results too: more of them than calls are no results.
    return _failed(problem, numbers[0], _reason(run, is_shown=False))


def _failed(problem: CodeProblem, number: int, reason: str) -> str:
    return f"Test {number + 1} of {len(problem.tests)} failed: {reason}."


def _reason(run: Run, *, is_shown: bool) -> str:
    """How a run ended. What a program says itself is told of the test that is shown; elsewhere it would give away what
    the test gives: in an exception's text, in the name of a class of its own, in an exit status."""
    if run.end in (End.RAISED, End.CRASHED):
        if is_shown:
            return f"it ends with {' '.join(run.error.split())}"
        if run.end is End.CRASHED:
            return "it ends with an exit status other than 0"
        name = run.error.partition(":")[0]
        return f"it ends with {name if name in _BUILT_IN else 'an exception of its own'}"
    return _SAID.get(run.end, "it ends without a result")


def _wrong(number: int, result: Any) -> str:
    """The first test is shown to the model, so what came of it may be told; of hidden tests nothing is."""
    if number > 0:
        return "the result is wrong"
    try:
        return f"the result is {str(result).strip()[:200]!r}"
    except RecursionError:
        return "the result is nested too deeply"


def same(result: Any, expected: Any) -> bool:
    """Whether two JSON values are equal; numbers with a fraction up to a relative error of 1e-6."""
    if isinstance(result, bool) or isinstance(expected, bool):
        return result is expected
    if isinstance(result, float) or isinstance(expected, float):
        if not (isinstance(result, int | float) and isinstance(expected, int | float)):
            return False
        try:
            return math.isclose(result, expected, rel_tol=1e-6, abs_tol=1e-9)
        except OverflowError:  # a whole number beyond any float
            return False
    if isinstance(result, list) and isinstance(expected, list):
        return len(result) == len(expected) and all(map(same, result, expected))
    if isinstance(result, dict) and isinstance(expected, dict):
        return result.keys() == expected.keys() and all(same(result[key], expected[key]) for key in expected)
    return bool(result == expected)


def same_text(printed: str, expected: str) -> bool:
    """Whether two texts have the same lines, up to spaces at their ends and between words, and empty last lines."""
    return _lines(printed) == _lines(expected)


def _lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.rstrip().split("\n")]


def code(argument: str) -> EnvironmentSpec:
    """The environment `code:FILE`; see `read_problems`. Raises InputError for a file that cannot be read."""
    problems = read_problems(argument)
    return _spec(f"code:{argument}", lambda seed: problems[seed % len(problems)], hash_file(Path(argument)), None)


def _spec(
    name: str,
    problem_of: Callable[[int], CodeProblem],
    content: str,
    optimum: Callable[[int], float] | None,
) -> EnvironmentSpec:
    return EnvironmentSpec(
        name=name,
        version=2,
        instruction=INSTRUCTION,
        max_turns=TRIES,
        open=lambda: _opened(problem_of),
        lowest=0.0,
        optimum=optimum,
        content=content,
    )


def _opened(problem_of: Callable[[int], CodeProblem]) -> CodeEnvironment:
    """Raises EnvironmentFailed where programs cannot be confined, before a model is asked for one."""
    _check_confinement()
    return CodeEnvironment(problem_of)


@cache
def _check_confinement() -> None:
    run_program("", "")


CODE = _spec("code", make_problem, "", lambda seed: 1.0)
