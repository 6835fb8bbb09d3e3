"""Several training processes on one machine, one per device, through PyTorch's own launcher.

They share every batch (see `plan`), so that their number changes nothing but the time. They end with the process that
asked for them, and when one dies all do; the next start goes on from the newest checkpoint.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from latent_core.errors import InfrastructureError, StageFailed
from latent_core.processes import log_tail
from latent_core.sft.launched import ERROR, EXITS, KNOWN_ERRORS, PROGRESS, RESULT, write_json
from latent_core.sft.rank import Job, Progress, TrainResult

_POLL_SECONDS = 0.5


def launch(job: Job, processes: int, devices: list[str], progress: Progress | None) -> TrainResult:
    """Train in `processes` processes and return the first one's result.

    See `run_processes`.
    """
    folder = launch_folder(job.checkpoint_dir)
    _write_job(job, folder)
    return TrainResult(**run_processes(folder, "latent_core.sft.launched", processes, devices, progress, stage="train"))


def launch_folder(checkpoint_dir: Path) -> Path:
    """An empty folder, through which a launcher and its caller speak."""
    folder = checkpoint_dir / "launch"
    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.iterdir():
        left_over.unlink()
    return folder


def run_processes(
    folder: Path, module: str, processes: int, devices: list[str], progress: Progress | None, *, stage: str
) -> dict[str, Any]:
    """Run `python -m MODULE FOLDER` in `processes` processes, on the job in the folder, and return the first's result.

    The module as a program is `supervise` with a number of processes behind the folder, and `take_part` without.
    `devices` are the ids of the GPUs to use, one a process; empty on a CPU. Raises what a process raised, if it is of a
    kind of `latent_core.errors`, as that kind; StageFailed for any other error, and InfrastructureError when a process
    was killed, both with the last lines of the log.
    """
    log = folder / "launch.log"
    with log.open("wb") as output:
        launcher = subprocess.Popen(
            [sys.executable, "-m", module, str(folder), str(processes)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment_of(processes, devices),
        )
        try:
            _follow(launcher, folder / PROGRESS, progress)
        finally:
            launcher.terminate()
            launcher.wait()
    if launcher.returncode == 0:
        result: dict[str, Any] = json.loads((folder / RESULT).read_text())
        return result
    told = f"Last lines of {log}:\n{log_tail(log)}"
    exits = json.loads((folder / EXITS).read_text()) if (folder / EXITS).is_file() else {}
    errors = sorted(json.loads(path.read_text()) for path in folder.glob(ERROR.format("*")))
    if errors and not any(code < 0 for code in exits.values()):  # the first one; others only missed that process
        _, kind, words = errors[0]
        if kind in KNOWN_ERRORS:
            raise KNOWN_ERRORS[kind](words)
        raise StageFailed(f"{stage}: {kind}: {words}. {told}")
    killed = ", ".join(f"number {rank} by signal {-code}" for rank, code in exits.items() if code < 0)
    raise InfrastructureError(f"{stage}: a training process died{killed and f' ({killed})'}. {told}")


def environment_of(processes: int, devices: list[str]) -> dict[str, str]:
    """The caller's environment with what the processes need: their devices, or their share of its threads.

    They speak over the loopback interface; left to itself NCCL listens on the first other one.
    """
    environment = {"NCCL_SOCKET_IFNAME": "lo", "GLOO_SOCKET_IFNAME": "lo"} | os.environ
    if devices:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(devices[:processes])
    else:
        environment["OMP_NUM_THREADS"] = str(max(1, int(environment.get("OMP_NUM_THREADS", "1")) // processes))
    return environment


def _follow(launcher: subprocess.Popen[bytes], reported: Path, progress: Progress | None) -> None:
    """Wait for the launcher, and pass on what its first process reports."""
    seen: list[int] = []
    while True:
        try:
            launcher.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            ended = False
        else:
            ended = True
        if progress is not None and reported.is_file():
            now = json.loads(reported.read_text())
            if now != seen:
                seen = now
                progress(*now)
        if ended:
            return


def _write_job(job: Job, folder: Path) -> None:
    import pyarrow.feather as feather

    for name, table in (("training", job.training), ("validation", job.validation)):
        if table is not None:
            feather.write_feather(table, str(folder / f"{name}.arrow"), compression="uncompressed")
    described = {
        "owner": os.getpid(),
        "model_dir": str(job.model_dir),
        "has_validation": job.validation is not None,
        "config": job.config.model_dump(mode="json"),
        "out_dir": str(job.out_dir),
        "checkpoint_dir": str(job.checkpoint_dir),
        "latent_ids": [job.latent_ids.start, job.latent_ids.stop],
    }
    write_json(folder / "job.json", described)
