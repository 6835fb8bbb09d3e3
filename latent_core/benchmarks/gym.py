"""Procedural tasks of the optional package reasoning-gym (Stojanovski et al. 2025, arXiv 2505.24760).

Only tasks with a single right answer are offered: the others are marked by a scorer that needs the task's own puzzle,
which a stored answer does not hold.
"""

from __future__ import annotations

from typing import Any

from latent_core.benchmarks.problem import Problem, ProblemSource
from latent_core.errors import InputError
from latent_core.puzzles import reasoning_gym

FAMILY = "reasoning_gym"
PREFIX = f"{FAMILY}:"
VERSION = "0.1.25"  # what the fixed order of problems was tried with
# Tasks with a scorer of their own that only forgives how their one number is written, as the mathematics grader does.
NUMBERS = frozenset({"chain_sum", "decimal_chain_sum", "gsm_symbolic", "products"})
# A problem is drawn from the seed (this + its place): a billion apart, no two splits ever draw from the same seed.
SPLIT_SEEDS = {"train": 0, "validation": 1_000_000_000, "test": 2_000_000_000}


def open_task(name: str, split: str) -> ProblemSource:
    """An endless split of `reasoning_gym:TASK`, with the task's default settings.

    Raises InputError when the package is missing, or the task is unknown or has more than one right answer.
    """
    task = name.removeprefix(PREFIX)
    try:
        package = reasoning_gym()
        from reasoning_gym.dataset import ProceduralDataset
        from reasoning_gym.factory import DATASETS
    except ImportError as error:
        raise InputError(
            f"benchmark.name: {name} needs a package that is not installed ({error}); "
            f"run `pip install reasoning-gym=={VERSION}`"
        ) from error
    if task not in DATASETS:
        raise InputError(f"benchmark.name: reasoning_gym has no task {task!r}; it has {', '.join(sorted(DATASETS))}")
    # The base class compares with the one answer; a task that has several overrides it.
    base = ProceduralDataset.score_answer
    single = sorted(key for key, (kind, _) in DATASETS.items() if key in NUMBERS or kind.score_answer is base)
    if task not in single:
        raise InputError(
            f"benchmark.name: answers of {name} can only be marked by the task's own scorer; choose one with a single "
            f"right answer: {', '.join(single)}"
        )

    def read(start: int, stop: int) -> list[Problem]:
        # One data set a problem: some tasks draw a whole set from its seed, so that a problem would depend on `start`.
        first = SPLIT_SEEDS[split]
        drawn = {index: package.create_dataset(task, seed=first + index, size=1)[0] for index in range(start, stop)}
        return [_problem(task, split, index, entry) for index, entry in drawn.items()]

    return ProblemSource(name, split, _release(), None, read)


def _problem(task: str, split: str, index: int, entry: dict[str, Any]) -> Problem:
    return Problem(f"reasoning_gym_{task}_{split}_{index}", str(entry["question"]), str(entry["answer"]))


def _release() -> str:
    from importlib.metadata import version

    return version("reasoning-gym")
