"""Verdicts a second on one core: `grade` with its cache, warm and without it, and math-verify alone.

    python -m bench.grading                     # answers made from the packaged word problems and MATH-like golds
    python -m bench.grading --golds FILE.jsonl  # golds (and answers that vary them) from a file with a column `answer`

They are timed in turns, several rounds, so that a busy machine slows all of them; what counts are the ratios.
CPU seconds include the worker process's: all of it runs on one core's worth of work, one answer at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from bench.record import add_json_option, save
from latent_core.scoring import grade, grading
from latent_core.scoring.normalization import clean
from latent_core.scoring.symbolic import equivalent
from latent_core.scoring.workers import WorkerPool, shared_pool

GOLDS = [
    "7", "58,500", r"\frac{14}{3}", r"90^\circ", r"12\pi", r"70 \sqrt{2}", r"11 \sqrt{5} + 11", "6 - 5i", "x^3+3x-6",
    r"(-2,1)", r"(-\infty, 2) \cup (3, \infty)", r"\text{east}", "4210_{5}", r"\left( 3, \frac{\pi}{2} \right)",
    r"\begin{pmatrix} -1/3 \\ 2/3 \end{pmatrix}", "0.15", "1,-2", r"-\frac{\pi}{6}", "2k+2", r"\$32,\!348",
]  # fmt: skip


def pairs(golds: list[str], count: int, repeats: int) -> list[tuple[str, str]]:
    """(answer, gold) as evaluations bring them: each question `repeats` times, one in three with another's answer."""
    draw = random.Random(0)
    chosen = [golds[place % len(golds)] for place in range(count // repeats)]
    found = []
    for gold in chosen:
        other = draw.choice(golds)
        found += [(other if draw.random() < 1 / 3 else gold.replace(r"\frac", r"\dfrac"), gold) for _ in range(repeats)]
    draw.shuffle(found)
    return found


def with_cache(answers: list[tuple[str, str]]) -> None:
    grading._compare_cached.cache_clear()
    for answer, gold in answers:
        grade(f"So it is $\\boxed{{{answer}}}$.", gold, benchmark="math")


def cache_warm(answers: list[tuple[str, str]]) -> None:
    """A second look at the same answers, as `latent compare` or a repeated evaluation takes it."""
    for answer, gold in answers:
        grade(f"So it is $\\boxed{{{answer}}}$.", gold, benchmark="math")


def without_cache(answers: list[tuple[str, str]]) -> None:
    for answer, gold in answers:
        grading._compare_cached.cache_clear()
        grade(f"So it is $\\boxed{{{answer}}}$.", gold, benchmark="math")


def math_verify_alone(answers: list[tuple[str, str]]) -> None:
    for answer, gold in answers:
        equivalent(clean(gold), clean(answer))


def _seconds(way: Callable[[list[tuple[str, str]]], None], answers: list[tuple[str, str]]) -> tuple[float, float]:
    """Wall and CPU seconds; the shared pool's worker is counted once it is closed, so its start is in neither."""
    pool: WorkerPool = shared_pool()
    pool.compare("1/2", "0.5")
    worker = next(worker for worker in list(pool._idle.queue) if worker is not None)

    def cpu() -> float:
        ticks = Path(f"/proc/{worker.pid}/stat").read_text().rsplit(")", 1)[1].split()
        own = resource.getrusage(resource.RUSAGE_SELF)
        return own.ru_utime + own.ru_stime + (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")

    wall, before = time.perf_counter(), cpu()
    way(answers)
    return time.perf_counter() - wall, cpu() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golds", type=Path)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=4, help="samples a question")
    parser.add_argument("--rounds", type=int, default=3)
    add_json_option(parser)
    arguments = parser.parse_args()
    golds = GOLDS
    if arguments.golds is not None:
        lines = arguments.golds.read_text(encoding="utf-8").splitlines()
        golds = [str(json.loads(line)["answer"]).rsplit("####", 1)[-1].strip() for line in lines]
    answers = pairs(golds, arguments.count, arguments.repeats)
    ways = (with_cache, cache_warm, without_cache, math_verify_alone)
    for way in ways:  # imports and compiled patterns are no part of the rate
        way(answers[:20])
    measured: dict[str, list[tuple[float, float]]] = {way.__name__: [] for way in ways}
    for _ in range(arguments.rounds):
        for way in ways:
            measured[way.__name__].append(_seconds(way, answers))
    results = []
    for name, times in measured.items():
        wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        ratios = [alone / own for (_, alone), (_, own) in zip(measured["math_verify_alone"], times, strict=True)]
        results.append(
            {
                "way": name,
                "verdicts": len(answers),
                "per_wall_second": round(len(answers) / wall),
                "per_cpu_second": round(len(answers) / cpu),
                "cpu_ratio_to_math_verify": round(statistics.median(ratios), 2),
            }
        )
        print(json.dumps(results[-1]))
    save(arguments.json, results)


if __name__ == "__main__":
    main()
