"""Answers made to hang or crash a grader, and the CPU seconds that each costs: 2 are the most that one may.

    python -m bench.hostile_answers

The seconds are this process's and its grading worker's, the worker's start left out: a worker that an answer ends is
replaced while the caller goes on.
"""

from __future__ import annotations

import argparse
import os
import resource
from pathlib import Path

from bench.record import add_json_option, save
from latent_core.scoring import Verdict, grade
from latent_core.scoring.workers import shared_pool

TARGET = 2.0  # CPU seconds
HOSTILE = {  # decided without a worker, or quickly by one
    "nested braces": "{" * 10_000 + "5" + "}" * 10_000,
    "nested boxes": "\\boxed{" * 10_000 + "5" + "}" * 10_000,
    "open brackets": "(" * 400,
    "null byte": "\x00\ud800",
    "nested boxes, never closed": "\\boxed{" * 10_000,
    "one hundred thousand digits": "7" * 100_000,
    "digits repeated for ever": r"0.\overline{" + "3" * 900 + "}",
    "exponent": "1e9999",
    "long sum": "+".join(["x"] * 400),
    "units": "7" + " square" * 140,
    "stacked accents": "7" + "\u0301" * 900,
    "direction override": "\u202e7\u202c",
    "lone surrogate": "\ud83d",
    "roots": "\u221a" * 900,
    "raised digits": "x" + "\u2070" * 900,
    "other digits": "\u0667",
    "words": "unknown " * 120,
    "code": "__import__('os').abort()",
}
HEAVY = {  # each may end a worker
    "exponent tower": "9^{9^{9^{9}}}",
    "nested fractions": r"\frac{1}{" * 49 + "2" + "}" * 49,
    "factorial": "(10^{9})!",
    "expansion": "(x+1)^{100}(y+1)^{100}",
    "endless sum": r"\sum_{k=1}^{10^{9}} k^{k}",
    "signs of two roots": r"\pm 1 " * 100,
    "number words": "one " * 240,
    "inequalities": "x<1 or " * 120 + "x>2",
}


def graded(answer: str) -> tuple[Verdict, float, float]:
    """The verdict on a boxed answer, and the CPU seconds of this process and of the worker for it."""
    pool = shared_pool()
    pool.compare("1/2", "0.5")  # a worker is up
    worker = next(worker for worker in reversed(list(pool._idle.queue)) if worker is not None)
    alive, dead, own = _cpu_of(worker.pid), _seconds(resource.RUSAGE_CHILDREN), _seconds(resource.RUSAGE_SELF)
    verdict = grade(f"\\boxed{{{answer}}}", "5", benchmark="math")
    own = _seconds(resource.RUSAGE_SELF) - own
    ended = _seconds(resource.RUSAGE_CHILDREN) - dead  # whole lives of the workers that it ended
    return verdict, own, (ended if ended else _cpu_of(worker.pid)) - alive


def _seconds(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_json_option(parser)
    arguments = parser.parse_args()
    print("| answer | verdict | decided | CPU here | CPU of the worker |\n|---|---|---|---:|---:|")
    most, results = 0.0, []
    for name, answer in (HOSTILE | HEAVY).items():
        verdict, own, workers = graded(answer)
        most = max(most, own + workers)
        results.append({"answer": name, "verdict": verdict.outcome, "cpu_seconds": round(own + workers, 3)})
        print(f"| {name} | {verdict.outcome} | {verdict.detail} | {own:.3f} s | {workers:.2f} s |", flush=True)
    print(f"\nmost: {most:.2f} s of {TARGET:g} s")
    save(arguments.json, {"most": round(most, 2), "answers": results})


if __name__ == "__main__":
    main()
