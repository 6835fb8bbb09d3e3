"""The processes that are killed: a run of the main job with its workers, and the Prefect server that it reports to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

TINY: dict[str, Any] = {
    "benchmark": {"difficulties": [1]},
    "collect": {
        "questions": 8,
        "shard_questions": 4,
        "sampling": {"temperature": 0.7, "samples": 2, "max_new_tokens": 128},
    },
    "compress": {"ratios": [0.5], "scoring": {"spans": True}},
    "prepare": {"ratios": [1.0, 0.5], "policy": "all_ratios", "validation_share": 0.2},
    "train": {"steps": 16, "batch_size": 4, "micro_batch_size": 4, "max_length": 256, "eval_every": 4},
    "evaluate": {"questions": 4, "ratios": [1.0, 0.5], "baselines": [], "sampling": {"max_new_tokens": 128}},
    "tracking": {"enabled": False},
}
"""Every stage of the main job, each within seconds."""

START_SECONDS = 900.0  # a Prefect server on a very busy machine; seconds on an idle one


class Server:
    """`prefect server start`, on a port and a database that it keeps from life to life."""

    def __init__(self, root: Path) -> None:
        self._root = root
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What points a run at this server."""
        return os.environ | {
            "PREFECT_HOME": str(self._root / "prefect"),
            "PREFECT_API_URL": f"http://127.0.0.1:{self._port}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "true",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
        }

    def start(self) -> None:
        """Start it; returns at once."""
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1"]
        with (self._root / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--port", str(self._port), "--no-ui"],
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the Prefect server did not answer; see {self._root / 'server.log'}")
            time.sleep(0.2)

    def kill(self) -> None:
        if self._process is not None:
            _kill_group(self._process)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/api/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return False


class Victim:
    """One configuration's run, started as often as it takes; `folder` holds its store, workers' logs and output."""

    def __init__(self, folder: Path, environment: dict[str, str], workers: int) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.logs = folder / "work" / "logs"
        self.starts = 0
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)
        runtime = {
            "workers": workers,
            "threads_per_worker": 1,
            "retries": 20,
            "retry_seconds": 0,
            "work_dir": str(folder / "work"),
        }
        self._file = folder / "run.yaml"
        self._file.write_text(yaml.safe_dump(TINY | {"store": str(self.store), "runtime": runtime}))

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> Path:
        """What the newest start printed."""
        return self.folder / f"output-{self.starts}.log"

    def start(self) -> None:
        self.starts += 1
        command = [sys.executable, "-m", "flows.cli", "run", "tokenskip-math", "--config", str(self._file)]
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                command, env=self._environment, stdout=output, stderr=output, start_new_session=True
            )

    def exit_code(self) -> int | None:
        """None while the run goes on."""
        assert self._process is not None
        return self._process.poll()

    def kill_run(self) -> None:
        """The run's own process alone; its workers have to notice by themselves."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def kill_group(self) -> None:
        """The run and its workers at once; nothing where the run is over."""
        if self._process is not None and self._process.poll() is None:
            _kill_group(self._process)


@contextmanager
def running_server(root: Path) -> Iterator[Server]:
    """A server that answers, gone when the block ends."""
    server = Server(root)
    server.start()
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.kill()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet waited for does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
