"""A command that is told to end does so soon, says so once, and leaves no process behind."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

PROGRAM = """
import atexit, hashlib, os, signal, subprocess, sys, threading, time
import flows.launch.ending
from flows.cli import main
from latent_core.errors import InfrastructureError

def told():
    os.kill(os.getpid(), signal.{name})

def app():
    {body}

flows.launch.ending.SECONDS = {seconds}
atexit.register(print, "cleaned up", flush=True)
main.app = app
main.main()
"""
SAYS = {"SIGTERM": (143, "ended by SIGTERM\n"), "SIGHUP": (129, "ended by SIGHUP\n"), "SIGINT": (130, "interrupted\n")}


def _ended(body: str, name: str = "SIGTERM", seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(name=name, body="\n    ".join(body.splitlines()), seconds=seconds)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("name", SAYS)
def test_signal_to_end_runs_what_python_does_at_its_end_and_is_told_in_one_line(name: str) -> None:
    ended = _ended("told()\ntime.sleep(60)", name)
    assert (ended.returncode, ended.stderr) == SAYS[name]
    assert ended.stdout == "cleaned up\n"


def test_error_that_comes_of_the_end_is_not_told_in_its_place() -> None:
    ended = _ended("try:\n    told()\nfinally:\n    raise InfrastructureError('prefect: the server is gone')")
    assert (ended.returncode, ended.stderr) == SAYS["SIGTERM"]


def test_signal_within_a_finalizer_is_not_lost_and_prints_nothing_of_its_own() -> None:
    """As one that comes while garbage is collected, when a page has just been opened."""
    finalizer = "class Garbage:\n    def __del__(self):\n        told()\n        time.sleep(0.01)\n"
    ended = _ended(f"{finalizer}garbage = Garbage()\ndel garbage\ntime.sleep(60)")
    assert (ended.returncode, ended.stderr) == SAYS["SIGTERM"]


def test_second_signal_does_not_cut_the_end_short() -> None:
    ended = _ended("try:\n    told()\nfinally:\n    told()\n    print('undone', flush=True)")
    assert (ended.returncode, ended.stderr) == SAYS["SIGTERM"]
    assert ended.stdout == "undone\ncleaned up\n"


@pytest.mark.parametrize(
    "body",
    [
        "threading.Timer(0.5, told).start()\nhashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)",  # minutes
        "try:\n    told()\nfinally:\n    time.sleep(60)",
        "signal.signal(signal.SIGTERM, print)\ntold()\ntime.sleep(60)",  # a library's own handler
        "atexit.register(time.sleep, 60)\ntold()",
    ],
    ids=["in-c", "while-undoing", "foreign-handler", "at-exit"],
)
def test_command_that_cannot_end_by_itself_is_ended_with_all_that_it_started(body: str) -> None:
    quiet = "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL"
    child = f"child = subprocess.Popen(['sleep', '60'], {quiet})\nprint(child.pid, flush=True)\n"
    started = time.monotonic()
    ended = _ended(child + body, seconds=0.5)
    assert time.monotonic() - started < 30
    assert (ended.returncode, ended.stderr) == SAYS["SIGTERM"]
    with suppress(psutil.NoSuchProcess):
        left = psutil.Process(int(ended.stdout.split()[0]))
        while left.status() != psutil.STATUS_ZOMBIE:  # whose parent is gone, so that nobody may reap it
            assert time.monotonic() - started < 30


def test_signals_are_as_before_after_a_command_that_ended_by_itself() -> None:
    again = "\ntold()\ntime.sleep(60)"
    program = PROGRAM.format(name="SIGTERM", body="raise SystemExit(0)", seconds=60.0)
    program = program.replace("main.main()\n", "try:\n    main.main()\nexcept SystemExit:\n    pass\n") + again
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (-15, "")
