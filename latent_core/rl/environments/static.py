"""Benchmarks as environments: one question an episode, several tries, the reward halved by each wrong one.

Reward 1/2^k for a right answer at the k-th try counted from 0, and 0 for a wrong one, as the static environments of
RAGEN-2 do.
"""

from __future__ import annotations

from latent_core.benchmarks.forms import Grader
from latent_core.benchmarks.problem import Problem, ProblemSource
from latent_core.benchmarks.registry import SPLITS, WORD_PROBLEMS, grader_of, open_split
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.errors import InputError
from latent_core.rl.environments.protocol import EnvironmentSpec, Info
from latent_core.rl.environments.turn_count import TurnCount
from latent_core.scoring import Detail, Outcome, grade

TRIES = 4
SEEDS = 10**8  # problems of a source without end that seeds reach; later seeds begin again at the first
INSTRUCTION = (
    "Solve the problem. Answer with the result alone. "
    f"If it is not right you are told so, and may answer again: you have {TRIES} tries."
)
LETTER_INSTRUCTION = (
    "Answer the question with the letter of the correct option alone. "
    f"If it is not right you are told so, and may answer again: you have {TRIES} tries."
)


class StaticEnvironment:
    """The problems of a source, seed by seed, graded as `benchmark`."""

    def __init__(self, source: ProblemSource, benchmark: str) -> None:
        self._source, self._benchmark = source, benchmark
        self._is_mathematics = grader_of(benchmark) is Grader.MATHEMATICS
        self._turns = TurnCount(TRIES)
        self._problem: Problem | None = None

    def reset(self, seed: int) -> tuple[str, Info]:
        self._turns.begin(seed)
        self._problem = problem_of(self._source, seed)
        return self._problem.question, {"state": 0}

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        self._turns.take()
        assert self._problem is not None
        right, understood = self._is_right(action, self._problem.gold)
        reward = 0.5 ** (self._turns.used - 1) if right else 0.0
        truncated = self._turns.finish(terminated=right)
        info: dict[str, object] = {"valid": understood, "state": self._turns.used}
        if right:
            return "This is the right answer.", reward, True, False, {**info, "success": True}
        said = "This is not the right answer." if understood else "No answer was found in this."
        if truncated:
            return f"{said} There are no tries left.", reward, False, True, {**info, "success": False}
        return f"{said} Try again.", reward, False, False, info

    def _is_right(self, action: str, gold: str) -> tuple[bool, bool]:
        """Whether the action is right, and whether it is an answer at all."""
        verdict = grade(action, gold, benchmark=self._benchmark)
        if verdict.detail is Detail.NO_ANSWER and self._is_mathematics and action.strip():
            # A bare expression, as in `\frac{1}{2}`: the grader takes only numbers without a box around them.
            verdict = grade(f"\\boxed{{{action.strip()}}}", gold, benchmark=self._benchmark)
        return verdict.outcome is Outcome.CORRECT, verdict.detail is not Detail.NO_ANSWER


def problem_of(source: ProblemSource, seed: int) -> Problem:
    """The problem of a seed: seeds run through a source in its order, and begin again at its end."""
    index = seed % (SEEDS if source.count is None else source.count)
    return source.problems(index, index + 1)[0]


def static(argument: str) -> EnvironmentSpec:
    """The environment `static:BENCHMARK` or `static:BENCHMARK@SPLIT`; the split is train, for `file:PATH` test.

    Raises InputError for what cannot be opened.
    """
    name, mark, split = argument.rpartition("@")
    if not mark or split not in SPLITS:
        name, split = argument, "test" if argument.startswith("file:") else "train"
    if not name:
        raise InputError("environment: static: needs a benchmark after the colon, e.g. static:word_problems@test")
    source = named_split(f"static:{argument}", BenchmarkConfig(name=name), split)
    return spec_of(f"static:{argument}", source, name)


def named_split(environment: str, config: BenchmarkConfig, split: str) -> ProblemSource:
    """As `open_split`. Raises its errors with the name of the environment in place of a benchmark's field."""
    try:
        return open_split(config, split)
    except InputError as error:
        _, _, reason = str(error).partition(": ")
        raise InputError(f"environment: {environment}: {reason or error}") from error


def spec_of(name: str, source: ProblemSource, benchmark: str) -> EnvironmentSpec:
    """The environment that asks a source's problems. Raises InputError for a source without problems."""
    if source.count == 0:
        raise InputError(f"environment: {name} has no problems; give another benchmark or file")
    is_choice = grader_of(benchmark) is Grader.LETTER
    return EnvironmentSpec(
        name=name,
        version=1,
        instruction=LETTER_INSTRUCTION if is_choice else INSTRUCTION,
        max_turns=TRIES,
        open=lambda: StaticEnvironment(source, benchmark),
        lowest=0.0,
        optimum=lambda seed: 1.0,
        takes_text=True,
        content=source.fingerprint,
    )


def _word_problems() -> EnvironmentSpec:
    source = open_split(BenchmarkConfig(name=WORD_PROBLEMS), "train")
    return spec_of("static", source, WORD_PROBLEMS)


STATIC = _word_problems()
