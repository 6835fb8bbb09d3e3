"""What a flow of many shards costs beside its stages' own work: seconds a stage, memory, a cached run, a plan.

    python -m bench.flow_scale [--shards 50 200 800 3000] [--json FILE]
    PREFECT_API_URL=http://127.0.0.1:4200/api python -m bench.flow_scale     # a server that runs already

Each flow collects, scores and compresses one question a shard, two new tokens each: three stages a shard that cost next
to nothing, and three merges. It runs on Prefect's temporary server and the embedded models, in a process and a store of
its own, three times: computing everything, finding everything in the store, and planned. A stage's own work is what
its manifest says it took, over the number of workers; what is left of the wall time is what the workflow costs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from bench.memory import PeakMemory
from bench.record import add_json_option, save
from flows.launch.execute import execute_entry
from flows.launch.plan import plan
from flows.launch.registry import FlowEntry
from flows.parts.training_sets import collected
from latent_core.config.collect import CollectConfig
from latent_core.config.tokenskip import TokenSkipConfig
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, Manifest
from tasks.inputs import ModelInput, ProblemsInput
from tasks.run.execution import open_run
from tasks.run.protocol import Run

WORKERS = 2
RECORDING_SECONDS = 60.0


def flow_scale(cfg: TokenSkipConfig, force: list[str] | None = None) -> str:
    """Collect and compress one question a shard."""
    with open_run("flow-scale", cfg, force=force or ()) as run:
        return run.artifact(compose(cfg, run)).ref.fingerprint


def compose(cfg: TokenSkipConfig, run: Run) -> ArtifactRef:
    """The collecting part of the main job."""
    problems = ProblemsInput.find(cfg.benchmark, "train", {"collect.questions": cfg.collect.questions})
    return collected(cfg, run, ModelInput.find(cfg.model), problems).compressed


def show(artifact: Artifact) -> None:
    """Nothing: the numbers are what is shown."""


ENTRY = FlowEntry("flow-scale", TokenSkipConfig, compose, flow_scale, show)


def configuration(shards: int, folder: Path) -> TokenSkipConfig:
    """The smallest collection of so many shards, with everything it writes below `folder`."""
    sampling = {"temperature": 0.7, "samples": 1, "max_new_tokens": 2}
    collect = CollectConfig.model_validate({"questions": shards, "shard_questions": 1, "sampling": sampling})
    return TokenSkipConfig.model_validate(
        {
            "collect": collect,
            "compress": {"ratios": [0.5]},
            "prepare": {"ratios": [1.0, 0.5]},
            "store": str(folder / "store"),
            "tracking": {"uri": f"sqlite:///{folder}/mlflow.db"},
            "runtime": {"workers": WORKERS, "threads_per_worker": 1, "work_dir": str(folder / "work")},
        }
    )


def measure(phase: str, shards: int, folder: Path) -> dict[str, Any]:
    """One phase in this process: `compute` and `cached` run the flow, `plan` looks it up."""
    config = configuration(shards, folder)
    with PeakMemory() as memory:
        started = time.monotonic()
        if phase == "plan":
            planned, _ = plan(ENTRY, config)
            seconds, stages = time.monotonic() - started, len(planned.lines)
            return {"seconds": seconds, "stages": stages, "hits": sum(line.hit for line in planned.lines)}
        execute_entry(ENTRY, config, ())
        seconds = time.monotonic() - started
        server, runs = _server_memory(), _task_runs(3 * shards + 3 if phase == "compute" else 1)
    own = sum(
        float(manifest.record["seconds"])
        for _, manifest in ArtifactStore(config.store).committed()
        if isinstance(manifest, Manifest)
    )
    return {"seconds": seconds, "memory": memory.peak, "server_memory": server, "own_seconds": own, **runs}


def _server_memory() -> int:
    """Peak resident memory of the temporary Prefect server, a child of this process; 0 where another one is used."""
    for process in psutil.Process().children(recursive=True):
        if "server_process.py" in " ".join(process.cmdline()):
            status = Path(f"/proc/{process.pid}/status").read_text()
            return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    return 0


def _task_runs(expected: int) -> dict[str, int]:
    """How many task runs Prefect's server knows, and how many of them it does not know the end of.

    It records states as events, after a while: looks until `expected` have ended, for at most RECORDING_SECONDS.
    """
    deadline = time.monotonic() + RECORDING_SECONDS
    while True:
        counts = _recorded_task_runs()
        if counts["task_runs"] - counts["without_end"] >= expected or time.monotonic() > deadline:
            return counts
        time.sleep(0.2)


def _recorded_task_runs() -> dict[str, int]:
    from prefect.client.orchestration import get_client

    counts = {}
    with get_client(sync_client=True) as client:
        for name, types in (("task_runs", None), ("without_end", ["PENDING", "RUNNING", "SCHEDULED"])):
            wanted = {"task_runs": {"state": {"type": {"any_": types}}} if types else {}}
            counts[name] = int(client.request("POST", "/task_runs/count", json=wanted).json())
    return counts


def in_a_process(phase: str, shards: int, folder: Path) -> dict[str, Any]:
    """`measure` in a process of its own, whose home for Prefect is below `folder` too."""
    environment = os.environ | {"PREFECT_HOME": str(folder / "prefect"), "PREFECT_LOGGING_LEVEL": "CRITICAL"}
    command = [sys.executable, "-m", "bench.flow_scale", "--phase", phase, "--folder", str(folder)]
    output = subprocess.run(
        [*command, "--shards", str(shards)], env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def row_for(shards: int) -> dict[str, Any]:
    """All three phases of a flow of so many shards."""
    with tempfile.TemporaryDirectory(prefix="flow-scale-") as name:
        folder = Path(name)
        computed = in_a_process("compute", shards, folder)
        cached = in_a_process("cached", shards, folder)
        planned = in_a_process("plan", shards, folder)
    stages = planned["stages"]
    if planned["hits"] != stages:
        raise RuntimeError(f"{shards} shards: {planned['hits']} of {stages} stages are in the store after a whole run")
    return {
        "shards": shards,
        "stages": stages,
        "seconds": computed["seconds"],
        "own_seconds": computed["own_seconds"] / WORKERS,
        "overhead_a_stage": (computed["seconds"] - computed["own_seconds"] / WORKERS) / stages,
        "task_runs": computed["task_runs"],
        "task_runs_without_end": computed["without_end"],
        "memory": computed["memory"],
        "server_memory": computed["server_memory"],
        "cached_seconds": cached["seconds"],
        "cached_memory": cached["memory"],
        "plan_seconds": planned["seconds"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, nargs="+", default=[50, 200, 800, 3000])
    add_json_option(parser)
    parser.add_argument("--phase", choices=("compute", "cached", "plan"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.phase is not None:
        print(json.dumps(measure(options.phase, options.shards[0], options.folder)), flush=True)
        return
    print("shards  stages  seconds  own work  beside it, s a stage  memory, GB  server, GB  cached, s  plan, s")
    rows = []
    for shards in options.shards:
        row = row_for(shards)
        rows.append(row)
        print(
            f"{shards:6,}  {row['stages']:6,}  {row['seconds']:7.1f}  {row['own_seconds']:8.1f}"
            f"  {row['overhead_a_stage']:20.4f}  {row['memory'] / 1e9:10.2f}  {row['server_memory'] / 1e9:10.2f}"
            f"  {row['cached_seconds']:9.1f}  {row['plan_seconds']:7.2f}",
            flush=True,
        )
    save(options.json, rows)


if __name__ == "__main__":
    main()
