"""Procedural arithmetic word problems with worked solutions: the embedded benchmark that needs no download.

A problem is a short story whose question takes `difficulty` equations (1 to 5). Its worked solution is natural,
redundant prose in several paraphrases, so that there is something to compress. Splits are disjoint twice over: by seed
range, and by a hash of the question's text that decides which split a question may appear in.

There are two editions. Edition 1 tells of one quantity that changes. Edition 2 adds stories with two quantities, units,
fractions and percentages.
"""

from __future__ import annotations

import hashlib
import random

from latent_core.benchmarks.word_problems import edition_1, edition_2
from latent_core.benchmarks.word_problems.problems import Operation, Step, WordProblem

__all__ = [
    "DEFAULT_EDITION",
    "EDITIONS",
    "MAX_DIFFICULTY",
    "SPLIT_SEEDS",
    "Operation",
    "Step",
    "WordProblem",
    "generate_problem",
    "split_of",
]

# The number is part of the benchmark's content hash: no text of an edition ever changes, another text is a new edition.
EDITIONS = {1: edition_1.draw_problem, 2: edition_2.draw_problem}
DEFAULT_EDITION = 2
MAX_DIFFICULTY = 5
SPLIT_SEEDS = {"train": range(0, 10**8), "validation": range(10**8, 2 * 10**8), "test": range(2 * 10**8, 3 * 10**8)}
_SPLIT_BUCKETS = {"train": range(0, 8), "validation": range(8, 9), "test": range(9, 10)}  # of 10


def split_of(question: str) -> str:
    """The only split in which this question's text may appear."""
    bucket = int.from_bytes(hashlib.sha256(question.encode()).digest()[:8]) % 10
    return next(split for split, buckets in _SPLIT_BUCKETS.items() if bucket in buckets)


def generate_problem(split: str, index: int, *, difficulty: int, edition: int = DEFAULT_EDITION) -> WordProblem:
    """The `index`-th problem of a split; the same arguments give the same problem for ever.

    Raises ValueError for an unknown split or edition, an index outside the split's seed range or a difficulty outside
    1..5.
    """
    if split not in SPLIT_SEEDS:
        raise ValueError(f"split: unknown split {split!r}; choose one of {', '.join(SPLIT_SEEDS)}")
    if edition not in EDITIONS:
        raise ValueError(f"edition: unknown edition {edition!r}; choose one of {', '.join(map(str, EDITIONS))}")
    if not 1 <= difficulty <= MAX_DIFFICULTY:
        raise ValueError(f"difficulty: must lie in 1..{MAX_DIFFICULTY}, got {difficulty}")
    seeds = SPLIT_SEEDS[split]
    if not 0 <= index < len(seeds):
        raise ValueError(f"index: must lie in 0..{len(seeds) - 1}, got {index}")
    draw = random.Random(f"word_problems/{edition}/{seeds[index]}/{difficulty}")
    draw_problem = EDITIONS[edition]
    while True:
        problem = draw_problem(draw, difficulty)
        if split_of(problem.question) == split:
            return problem
