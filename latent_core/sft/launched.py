"""What `launch` starts: a launcher, which starts the training processes, and the processes themselves.

They and the caller speak through a folder: `python -m latent_core.sft.launched FOLDER PROCESSES` launches,
`python -m latent_core.sft.launched FOLDER` is one of the processes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from latent_core.atomic import atomic_file
from latent_core.config.training import TrainConfig
from latent_core.errors import LatentError
from latent_core.processes import end_with
from latent_core.sft.rank import Job, Progress, fit

RESULT, PROGRESS = "result.json", "progress.json"
ERROR = "error-{}.json"  # of a process by its number: when, the kind and the words
MEETING = "meeting"  # where the processes find each other
KNOWN_ERRORS = {kind.__name__: kind for kind in LatentError.__subclasses__()}
"""The kinds of errors that the caller raises as what they are, by the names under which they travel."""
EXITS = "exits.json"  # exit status of the processes that failed, by number; negative for a signal
# While the first process writes a checkpoint the others wait for it; NCCL's own 10 minutes are short for a large model
# on a slow disk. A process that died needs no timeout: the launcher ends the others.
_PATIENCE = timedelta(hours=2)
POLL_SECONDS = 0.2  # between two looks at the processes


def write_json(path: Path, content: Any) -> None:
    """Write JSON such that a reader sees the old content or the new, never a part."""
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(content))


def supervise(folder: Path, processes: int, module: str) -> int:
    """Run `python -m MODULE FOLDER` in each process until all have ended well, or one has not; then end the others.

    Returns an exit status.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, start_processes

    shared = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    with tempfile.TemporaryDirectory() as scratch:
        started = start_processes(
            name="train",
            entrypoint=sys.executable,
            args={rank: ("-m", module, str(folder)) for rank in range(processes)},
            envs={rank: {"RANK": str(rank), "LOCAL_RANK": str(rank)} | shared for rank in range(processes)},
            logs_specs=DefaultLogsSpecs(scratch),  # unused: they write to the launcher's own log
        )
        try:
            ended = started.wait(period=POLL_SECONDS)
        except SignalException as error:
            started.close(error.sigval)
            return 1
    if ended is not None and not ended.is_failed():
        return 0
    failures = {} if ended is None else ended.failures
    exits = {rank: failure.exitcode for rank, failure in failures.items()}
    write_json(folder / EXITS, {rank: code for rank, code in exits.items() if code != -signal.SIGTERM})
    return 1


def take_part(folder: Path, compute: Callable[[dict[str, Any], Progress | None], dict[str, Any] | None]) -> None:
    """Be one of the processes: meet the others, compute what the job describes, and say what came of it.

    `compute` gets the folder's `job.json`, and in the first process a way to report progress; what it returns there, if
    anything, is the result. Never returns.
    """
    import torch
    import torch.distributed

    rank = int(os.environ["RANK"])
    described = json.loads((folder / "job.json").read_text())
    end_with(described["owner"])

    def report(done: int, total: int) -> None:
        write_json(folder / PROGRESS, [done, total])

    def note(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        known = next((base for base in kind.__mro__ if base in KNOWN_ERRORS.values()), kind)
        write_json(folder / ERROR.format(rank), [time.time(), known.__name__, str(error)])
        sys.__excepthook__(kind, error, trace)

    sys.excepthook = note
    # Over a file: the library's store for meeting over TCP listens on every interface, to whoever comes.
    torch.distributed.init_process_group(
        "nccl" if torch.cuda.is_available() else "gloo",
        init_method=f"file://{folder / MEETING}",
        rank=rank,
        world_size=int(os.environ["WORLD_SIZE"]),
        timeout=_PATIENCE,
    )
    result = compute(described, report if rank == 0 else None)
    if rank == 0:
        write_json(folder / RESULT, result)
    sys.stdout.flush()
    sys.stderr.flush()
    # All is written. What native libraries do at interpreter exit (a thread that is still alive aborts the process)
    # must not turn a finished training into a failed one.
    os._exit(0)


def work(folder: Path) -> None:
    """One of the processes of supervised fine-tuning."""

    def compute(described: dict[str, Any], report: Progress | None) -> dict[str, Any] | None:
        result = fit(_read_job(folder, described), report)
        return None if result is None else asdict(result)

    take_part(folder, compute)


def _read_job(folder: Path, described: dict[str, Any]) -> Job:
    import pyarrow.feather as feather

    return Job(
        model_dir=Path(described["model_dir"]),
        training=feather.read_table(str(folder / "training.arrow")),
        validation=feather.read_table(str(folder / "validation.arrow")) if described["has_validation"] else None,
        config=TrainConfig.model_validate(described["config"]),
        out_dir=Path(described["out_dir"]),
        checkpoint_dir=Path(described["checkpoint_dir"]),
        latent_ids=range(*described["latent_ids"]),
    )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        sys.exit(supervise(Path(sys.argv[1]), int(sys.argv[2]), "latent_core.sft.launched"))
    work(Path(sys.argv[1]))
