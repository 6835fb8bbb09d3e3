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
from io import FileIO
from typing import BinaryIO

MEMORY_LIMIT = 2 << 30  # bytes of address space: a tower of powers must not take the machine down before its time is up
ORPHAN_CHECK_SECONDS = 2.0  # a forked sibling may hold our input pipe open, so its end alone does not tell
READY = b"ready\n"


def equivalent(gold: str, answer: str) -> bool:
    """Whether math-verify holds two cleaned answers equal; both are read as LaTeX, never searched for numbers."""
    from math_verify import LatexExtractionConfig, parse, verify

    readings = [
        parse(
            f"\\boxed{{{text}}}",
            extraction_config=[LatexExtractionConfig(boxed_match_priority=0)],
            fallback_mode="no_fallback",
            parsing_timeout=None,
        )
        for text in (gold, answer)
    ]
    if not all(readings):
        return False
    return bool(verify(readings[0], readings[1], allow_set_relation_comp=True, timeout_seconds=None))


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
