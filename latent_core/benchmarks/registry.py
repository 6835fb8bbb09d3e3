"""All benchmarks by name."""

from __future__ import annotations

from pathlib import Path

from latent_core.benchmarks import gym, word_problems
from latent_core.benchmarks.contamination import without_contaminated
from latent_core.benchmarks.forms import Grader
from latent_core.benchmarks.problem import Problem, ProblemSource
from latent_core.benchmarks.table import open_table
from latent_core.benchmarks.tables import table_benchmarks
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.errors import InputError

WORD_PROBLEMS = "word_problems"
SPLITS = ("train", "validation", "test")


def open_split(config: BenchmarkConfig, split: str) -> ProblemSource:
    """Open a split of a configured benchmark; raises InputError for an unknown name or split, or a bad file."""
    if config.drop_contaminated and split == "test":
        whole = config.model_copy(update={"drop_contaminated": False})
        return without_contaminated(open_split(whole, "test"), open_split(whole, "train"))
    if split not in SPLITS:
        raise InputError(f"benchmark: unknown split {split!r}; choose one of {', '.join(SPLITS)}")
    if config.name == WORD_PROBLEMS or config.name.startswith(gym.PREFIX):
        _refuse_files(config)
    if config.name == WORD_PROBLEMS:
        return _word_problems(split, config.difficulties, config.generator)
    if config.name.startswith(gym.PREFIX):
        return gym.open_task(config.name, split)
    if table := table_benchmarks().get(config.name):
        path = {"train": config.train_path, "test": config.test_path}.get(split)
        return open_table(table, split, Path(path) if path else None)
    fix = f"choose one of {', '.join(known())}"
    if config.name.endswith((".jsonl", ".parquet")):
        fix = f"for a file of your own write file:{config.name}"
    raise InputError(f"benchmark.name: unknown benchmark {config.name!r}; {fix}")


def _refuse_files(config: BenchmarkConfig) -> None:
    """A benchmark that makes its problems reads none, so results would not be about the file that somebody named."""
    for field in ("train_path", "test_path"):
        if getattr(config, field) is not None:
            raise InputError(
                f"benchmark.{field}: {config.name} makes its problems and reads no file; leave it out, or give "
                "benchmark.name the benchmark that the file is of (file: problems of your own)"
            )


def grader_of(name: str) -> Grader:
    """How a benchmark's answers are graded, `file:...` and `reasoning_gym:TASK` included; InputError for others."""
    family, _, member = name.partition(":")
    if name == WORD_PROBLEMS or (family == gym.FAMILY and member):
        return Grader.MATHEMATICS
    table = table_benchmarks().get("file" if family == "file" and member else name)
    if table is None:
        raise InputError(f"benchmark {name!r} is unknown; use one of {', '.join(known())}")
    return table.grader


def hub_of(name: str) -> str | None:
    """Where a benchmark lives on the Hub; None for those that do not, and for what is no benchmark."""
    table = table_benchmarks().get(name)
    return None if table is None or table.hub is None else table.hub.id


def known() -> list[str]:
    """What benchmarks may be called."""
    return [WORD_PROBLEMS, *table_benchmarks(), "file:PATH", f"{gym.PREFIX}TASK"]


def word_problem_generator(split: str, edition: int) -> str:
    """Identity of an edition of the generator itself, whatever difficulties are drawn from it."""
    return ProblemSource("word_problems", split, str(edition), None, lambda *_: []).fingerprint


def _word_problems(split: str, difficulties: tuple[int, ...], edition: int) -> ProblemSource:
    def read(start: int, stop: int) -> list[Problem]:
        rows = []
        for index in range(start, stop):
            difficulty = difficulties[index % len(difficulties)]
            problem = word_problems.generate_problem(split, index, difficulty=difficulty, edition=edition)
            rows.append(
                Problem(
                    question_id=f"word_problems_{split}_{index}",
                    question=problem.question,
                    gold=str(problem.answer),
                    rationale=problem.solution,
                    level=str(difficulty),
                )
            )
        return rows

    content = f"{edition}/{','.join(map(str, difficulties))}"
    return ProblemSource("word_problems", split, content, None, read)
