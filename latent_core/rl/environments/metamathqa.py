"""MetaMathQA as an environment (Yu et al. 2023, arXiv 2309.12284): from a local file, or small problems made here.

The problems made here are rewritten as MetaMathQA rewrites: forward questions, FOBAR questions ("If we know the answer
is …, what is the value of unknown variable x?") and self-verification questions.
"""

from __future__ import annotations

import random

from latent_core.benchmarks.problem import Problem, ProblemSource
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.errors import InputError
from latent_core.rl.environments.protocol import EnvironmentSpec
from latent_core.rl.environments.static import SEEDS, named_split, spec_of

BENCHMARK = "metamathqa"
_NAMES = ("Ada", "Bilal", "Chen", "Dana", "Emil", "Farah", "Goran", "Hana")
_ITEMS = ("pencils", "stickers", "apples", "cards", "shells", "coins")


def metamathqa(argument: str) -> EnvironmentSpec:
    """The environment `metamathqa:FILE`; FILE is .jsonl, .json or .parquet with the columns query and response.

    Raises InputError for a file that cannot be read, and for rows without a question or an answer.
    """
    if not argument:
        raise InputError("environment: metamathqa: needs a file after the colon, e.g. metamathqa:MetaMathQA.jsonl")
    name = f"{BENCHMARK}:{argument}"
    return spec_of(name, named_split(name, BenchmarkConfig(name=BENCHMARK, train_path=argument), "train"), BENCHMARK)


def _problem(seed: int) -> Problem:
    draw = random.Random(f"{BENCHMARK}/{seed}")
    name, item = draw.choice(_NAMES), draw.choice(_ITEMS)
    boxes, each, given = draw.randint(2, 9), draw.randint(3, 12), draw.randint(1, 5)
    total = boxes * each - given
    kind = draw.choice(("forward", "fobar", "self-verification"))
    count = str(boxes) if kind == "forward" else "x"
    facts = f"{name} has {count} boxes with {each} {item} in each and gives {given} {item} away."
    if kind == "forward":
        return _row(seed, f"{facts} How many {item} does {name} have left?", total)
    if kind == "fobar":
        known = f"If we know the answer to the above question is {total}"
        question = f"{facts} How many {item} does {name} have left? {known}, what is the value of unknown variable x?"
    else:
        question = f"{facts} {name} has {total} {item} left. What is the value of unknown variable x?"
    return _row(seed, question, boxes)


def _row(seed: int, question: str, gold: int) -> Problem:
    return Problem(f"{BENCHMARK}_sample_{seed}", question, str(gold))


def _read(start: int, stop: int) -> list[Problem]:
    return [_problem(seed) for seed in range(start, min(stop, SEEDS))]


METAMATHQA = spec_of(BENCHMARK, ProblemSource(BENCHMARK, "sample", "1", None, _read), BENCHMARK)
