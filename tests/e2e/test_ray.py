"""The main job on a Ray cluster of two machines, with artifacts in S3; one machine is killed on the way.

The machines are two nodes on loopback addresses of their own, with ports, processes and CPUs of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from flows.tokenskip_math import compose
from latent_core.config.tokenskip import TokenSkipConfig
from latent_core.store import ArtifactStore
from tasks.run.plan import open_plan
from tests.support.s3_faults import make_bucket
from tests.support.s3_servers import free_ports, start_seaweed

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.slow]
CONFIG: dict[str, Any] = {
    "benchmark": {"difficulties": [1]},
    "collect": {
        "questions": 12,
        "shard_questions": 2,
        "sampling": {"temperature": 0.7, "samples": 2, "max_new_tokens": 192},
    },
    "compress": {"ratios": [0.5], "scoring": {"spans": True}},
    "prepare": {"ratios": [1.0, 0.5], "policy": "all_ratios", "validation_share": 0.2},
    "train": {"steps": 2, "batch_size": 4, "micro_batch_size": 4, "max_length": 512, "eval_every": 2},
    "evaluate": {"questions": 4, "ratios": [0.5], "baselines": [], "sampling": {"max_new_tokens": 192}},
    "variants": ["standard"],
}
PROJECT = Path(__file__).parents[2]
SHARDS = 6
PATIENCE = 1200.0  # seconds; half a minute on an idle machine


@dataclass(frozen=True)
class Node:
    """A node's foreground process; everything else of it is below."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait_until_started(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while "Ray runtime started" not in self.log.read_text():
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()[-2000:]
            time.sleep(0.2)

    def kill(self) -> None:
        family = [*psutil.Process(self.process.pid).children(recursive=True), psutil.Process(self.process.pid)]
        for member in family:
            member.kill()
        psutil.wait_procs(family)


def _start_node(folder: Path, address: str, ports: list[int], head: str | None) -> Node:
    names = ["node-manager-port", "object-manager-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port"]
    names += ["metrics-export-port", "runtime-env-agent-port"]
    command = [str(Path(sys.executable).parent / "ray"), "start", "--block", "--node-ip-address", address]
    command += [f"--{name}={port}" for name, port in zip(names, ports, strict=False)]
    command += ["--num-cpus=1", "--object-store-memory=80000000", "--disable-usage-stats"]
    if head is None:
        command += ["--head", f"--port={ports[-1]}", "--include-dashboard=false", f"--temp-dir={folder}"]
    else:
        command += [f"--address={head}"]
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "RAY_USAGE_STATS_ENABLED": "0"}
    # Ray's own niceness of 15 for its workers starves them wherever anything else computes.
    environment |= {"RAY_raylet_start_wait_time_s": f"{PATIENCE:.0f}", "RAY_worker_niceness": "0"}
    log = folder / f"{address}.log"
    with log.open("wb") as handle:
        return Node(subprocess.Popen(command, stdout=handle, stderr=handle, env=environment), log)


@pytest.fixture
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Node]]:
    """The address of a cluster of two nodes, and the one that is not the driver's."""
    ports = free_ports(14)
    # Sockets lie in it, whose paths must be short.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        address = f"127.0.0.2:{ports[6]}"
        head = _start_node(folder, "127.0.0.2", ports[:7], None)
        nodes = [head]
        try:
            head.wait_until_started()
            other = _start_node(folder, "127.0.0.3", ports[7:], address)
            nodes.append(other)
            other.wait_until_started()
            yield address, other
        finally:
            for node in nodes:
                if node.process.poll() is None:
                    node.kill()


def _alive(address: str) -> int:
    count = "import ray, sys; ray.init(sys.argv[1], log_to_driver=False, logging_level='ERROR')\n"
    count += "print(sum(node['Alive'] for node in ray.nodes()))"
    done = subprocess.run([sys.executable, "-c", count, address], capture_output=True, text=True)
    return int(done.stdout) if done.returncode == 0 else 0


def _hits(config: TokenSkipConfig) -> dict[str, bool]:
    run = open_plan("tokenskip-math", config)
    compose(config, run)
    return {line.title: line.hit for line in run.lines}


@pytest.fixture
def s3_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = start_seaweed(tmp_path / "s3")
    for name, value in server.environment(timeout="30").items():
        monkeypatch.setenv(name, value)
    make_bucket("bucket")
    yield "s3://bucket/ray"
    server.stop()


# The cluster starts after the S3 server's address is in the environment, which its machines inherit.
@pytest.mark.timeout(4 * PATIENCE)
def test_run_on_two_machines_completes_when_one_is_killed_in_the_middle(
    s3_root: str, machines: tuple[str, Node], tmp_path: Path
) -> None:
    address, victim = machines
    runtime = {
        "runner": "ray", "ray_address": address, "workers": 2, "threads_per_worker": 1, "retry_seconds": 0.5,
        "work_dir": str(tmp_path / "work"),
    }  # fmt: skip
    tracking = {"uri": f"sqlite:///{tmp_path}/mlflow.db"}
    config = TokenSkipConfig.model_validate({**CONFIG, "store": s3_root, "runtime": runtime, "tracking": tracking})
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    from prefect.settings import PREFECT_API_URL

    command = [sys.executable, "-m", "flows.cli", "run", "tokenskip-math", "-c", str(file)]
    environment = os.environ | {"PREFECT_API_URL": str(PREFECT_API_URL.value()), "PYTHONPATH": str(PROJECT)}
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    store = ArtifactStore(s3_root)
    deadline = time.monotonic() + PATIENCE
    while sum(ref.stage == "collect_shard" for ref in store.list()) < 1:
        assert running.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()[-3000:]
        time.sleep(0.5)
    victim.kill()
    finished = sum(ref.stage == "collect_shard" for ref in store.list())
    assert finished < SHARDS - 1, "the machine was killed too late to matter"
    assert running.wait(PATIENCE) == 0, (tmp_path / "log").read_text()[-3000:]
    assert all(_hits(config).values())
    assert _alive(address) == 1
