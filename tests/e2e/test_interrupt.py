"""A run that is told to end, by Ctrl-C at a terminal or by a scheduler, which both tell all of its processes.

It ends within seconds, says so once, loses nothing that was finished, and goes on when repeated.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from latent_core.store import ArtifactStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SECONDS = 8.0  # from the signal to the end, 5 on an idle machine; with the temporary server gone Prefect took minutes
SETTINGS = [
    "benchmark.difficulties=[1]",
    "evaluate={questions: 100, ratios: [1.0, 0.9, 0.8, 0.7], sampling: {max_new_tokens: 100, batch_tokens: 2000}}",
    "runtime.threads_per_worker=1",
    "tracking.enabled=false",
]


@pytest.mark.parametrize(
    ("number", "status", "words"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "ended by SIGTERM"),
        (signal.SIGHUP, 129, "ended by SIGHUP"),
    ],
)
def test_run_whose_processes_are_all_told_to_end_ends_soon_and_the_same_command_goes_on(
    tmp_path: Path, number: signal.Signals, status: int, words: str
) -> None:
    command = [sys.executable, "-m", "flows.cli", "run", "reevaluate", "--set", f"store={tmp_path / 'store'}"]
    command += ["--set", f"runtime.work_dir={tmp_path / 'work'}"]
    command += [word for setting in SETTINGS for word in ("--set", setting)]
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    environment["PREFECT_HOME"] = str(tmp_path / "prefect")
    store = ArtifactStore(tmp_path / "store")
    started = time.monotonic()
    said = tmp_path / "said"
    with (
        said.open("wb") as output,
        subprocess.Popen(command, env=environment, stderr=output, start_new_session=True) as run,
    ):
        while not (finished := list(store.list())) and time.monotonic() - started < 300:
            assert run.poll() is None, "the run ended by itself"
            time.sleep(0.1)
        family = psutil.Process(run.pid).children(recursive=True)
        assert len(family) >= 2  # its server and its worker
        before = said.read_text()
        told = time.monotonic()
        os.killpg(run.pid, number)
        assert run.wait(300) == status
        assert time.monotonic() - told < SECONDS
    after = said.read_text().removeprefix(before)
    assert after == f"{words}; what was finished is in the store: the same command goes on from there\n"
    assert not psutil.wait_procs(family, timeout=30)[1]
    assert set(finished) <= set(store.list())
    manifests = {ref: store.manifest(ref) for ref in finished}
    assert subprocess.run(command, env=environment, timeout=600).returncode == 0
    assert {ref: store.manifest(ref) for ref in finished} == manifests
    assert all(store.verify(ref).ok for ref in store.list())
