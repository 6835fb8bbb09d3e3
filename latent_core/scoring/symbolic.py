"""The grading worker: compares two answers with math-verify, one JSON line in, one out, and never outlives its use.

Runs in a process of its own, started by `workers` with the CPU seconds as its only argument. math-verify's
own time limit is a SIGALRM handler, which works on a main thread only and cannot interrupt one long C call (a power
tower is one); here the kernel ends the whole process by SIGPROF's default action instead.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import select
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from io import FileIO
from typing import Any, BinaryIO

MEMORY_LIMIT = 2 << 30  # bytes of address space: a tower of powers must not take the machine down before its time is up
ORPHAN_CHECK_SECONDS = 2.0  # a forked sibling may hold our input pipe open, so its end alone does not tell
READY = b"ready\n"


def equivalent(gold: str, answer: str) -> bool:
    """Whether math-verify holds two cleaned answers equal; both are read as LaTeX, never searched for numbers."""
    from math_verify import LatexExtractionConfig, parse, verify

    from latent_core.scoring.exactness import exact_numbers

    # Units are off: they were removed before, and its list holds "ab", "s" and "t", so that `2ab` would equal 2.
    spelling = replace(LatexExtractionConfig().normalization_config, units=False)
    reading = LatexExtractionConfig(boxed_match_priority=0, normalization_config=spelling)
    readings = [
        parse(
            f"\\boxed{{{text}}}",
            extraction_config=[reading],
            fallback_mode="no_fallback",
            extraction_mode="first_match",  # or it takes a fraction out of what it cannot read as a whole
            parsing_timeout=None,
        )
        for text in (gold, answer)
    ]
    if not all(readings):
        return False
    first, second = ([_with_imaginary_unit(value) for value in reading] for reading in readings)
    with exact_numbers():
        return bool(verify(first, second, allow_set_relation_comp=True, timeout_seconds=None))


def _with_imaginary_unit(value: Any) -> Any:
    """A number or a set of numbers with math-verify's variable i as the imaginary unit; anything else as it is."""
    import sympy

    members = value.args if isinstance(value, sympy.FiniteSet) else (value,)
    if not all(isinstance(member, sympy.Expr) for member in members):
        return value
    if {symbol.name for symbol in value.free_symbols} != {"i"}:
        return value
    try:
        return value.subs(dict.fromkeys(value.free_symbols, sympy.I))
    except (TypeError, ValueError):  # max(2, i) compares, which complex numbers do not
        return value


def main() -> None:
    """Answer requests from standard input until it ends, the parent is gone, or a request overspends its CPU time."""
    cpu_seconds = float(sys.argv[1])
    parent = os.getppid()
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # a library that prints must not write into the replies
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    logging.disable(logging.CRITICAL)  # math-verify warns on every worker that its own time limit is off
    equivalent("1", "2")  # import and compile before the first request is timed
    with suppress(BrokenPipeError):  # a caller that was killed reads no reply
        replies.write(READY)
        _answer(sys.stdin.buffer, replies, parent, cpu_seconds)


def _answer(requests: BinaryIO, replies: BinaryIO | FileIO, parent: int, cpu_seconds: float) -> None:
    while _wait_for_request(requests, parent):
        line = requests.readline()
        if not line:
            return
        gold, answer = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        equal = equivalent(gold, answer)
        signal.setitimer(signal.ITIMER_PROF, 0)
        replies.write(b"equal\n" if equal else b"different\n")


def _wait_for_request(requests: BinaryIO, parent: int) -> bool:
    waiting = select.poll()
    waiting.register(requests, select.POLLIN | select.POLLHUP)
    while not waiting.poll(ORPHAN_CHECK_SECONDS * 1000):
        if os.getppid() != parent:
            return False
    return True
