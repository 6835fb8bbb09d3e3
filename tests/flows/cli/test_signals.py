"""A run that is told to end, or whose terminal is closed, leaves no process behind."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import atexit, os, signal, time
from flows.cli import main

def app():
    os.kill(os.getpid(), signal.{name})
    time.sleep(60)

atexit.register(print, "cleaned up", flush=True)
main.app = app
main.main()
"""


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_signal_to_end_runs_what_python_does_at_its_end(name: str, status: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(name=name)], capture_output=True, text=True, timeout=120
    )
    assert (ended.returncode, ended.stdout) == (status, "cleaned up\n")
