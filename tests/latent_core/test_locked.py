"""A lock that processes wait for, and that outlives none of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HOLDER = """
import sys
from pathlib import Path
from latent_core.locked import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_lock_of_another_process_is_waited_for_and_free_when_it_dies(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    waiting = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(timeout=1)
    holder.kill()
    assert waiting.communicate(timeout=60)[0] == "held\n" and waiting.returncode == 0
    holder.communicate()
