"""Ctrl-C at a terminal: the run ends within seconds, loses nothing that was finished, and goes on when repeated."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from latent_core.store import ArtifactStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SECONDS = 30.0  # from Ctrl-C to the prompt; with the temporary server gone Prefect took more than 240
SETTINGS = [
    "benchmark.difficulties=[1]",
    "evaluate={questions: 100, ratios: [1.0, 0.9, 0.8, 0.7], sampling: {max_new_tokens: 100, batch_tokens: 2000}}",
    "runtime.threads_per_worker=1",
    "tracking.enabled=false",
]


def test_interrupted_run_ends_soon_and_the_same_command_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flows.cli", "run", "reevaluate", "--set", f"store={tmp_path / 'store'}"]
    command += ["--set", f"runtime.work_dir={tmp_path / 'work'}"]
    command += [word for setting in SETTINGS for word in ("--set", setting)]
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    environment["PREFECT_HOME"] = str(tmp_path / "prefect")
    store = ArtifactStore(tmp_path / "store")
    started = time.monotonic()
    with subprocess.Popen(command, env=environment, start_new_session=True) as run:
        while not (finished := list(store.list())) and time.monotonic() - started < 300:
            assert run.poll() is None, "the run ended by itself"
            time.sleep(0.1)
        pressed = time.monotonic()
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait(300) == 130
        assert time.monotonic() - pressed < SECONDS
    assert set(finished) <= set(store.list())
    manifests = {ref: store.manifest(ref) for ref in finished}
    assert subprocess.run(command, env=environment, timeout=600).returncode == 0
    assert {ref: store.manifest(ref) for ref in finished} == manifests
    assert all(store.verify(ref).ok for ref in store.list())
