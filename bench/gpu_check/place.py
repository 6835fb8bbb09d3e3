"""Where the checks run, and what they run on: latent-mini with a dual vocabulary, and word problems."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from latent_core.atomic import atomic_folder
from latent_core.benchmarks.problem import Problem

BENCHMARK = "word_problems"
REFERENCE = "greedy.json"


class Place(NamedTuple):
    """`device` is cpu or cuda; `folder` is shared by all checks of a run; of several processes this is `number`."""

    device: str
    tiny: bool
    folder: Path
    number: int = 0

    @property
    def on_gpu(self) -> bool:
        return self.device == "cuda"

    def sized(self, whole: Any, tiny: Any) -> Any:
        """A size for a GPU, and one to try the check itself with."""
        return tiny if self.tiny else whole


def dual_folder(place: Place) -> Path:
    """latent-mini with a full copy of its vocabulary, built once."""
    from latent_core.dual import build_dual
    from latent_core.models.source import open_model

    folder = place.folder / "dual"
    if not folder.is_dir():
        with atomic_folder(folder) as fresh:
            build_dual(open_model("latent-mini").directory, fresh)
    return folder


def machine_of(folder: Path) -> Any:
    """The phases under which the model in `folder` is sampled."""
    from latent_core.sft.phase_loss import machine_of as found

    return found(folder)


def problems_of(count: int) -> list[Problem]:
    """Word problems that latent-mini was not trained on."""
    from latent_core.benchmarks.registry import open_split
    from latent_core.config.benchmark import BenchmarkConfig

    return open_split(BenchmarkConfig(), "test").problems(0, count)


def completed(folder: Path, engine: Any, problems: Sequence[Problem], sampling: Any) -> list[dict[str, Any]]:
    """Graded completions, as collecting and evaluating make them."""
    from latent_core.generate.completions import graded_completions
    from latent_core.models.readable import ReadableModel

    return list(graded_completions(problems, ReadableModel.load(folder), engine, sampling, benchmark=BENCHMARK))


def engine_in(folder: Path, device: str, dtype: str) -> Any:
    """The transformers engine around the model in a type of our choice."""
    import torch
    from transformers import AutoModelForCausalLM

    from latent_core.generate.transformers_engine import TransformersEngine

    kind = getattr(torch, dtype)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=kind, local_files_only=True).to(device).eval()
    return TransformersEngine.around(model, folder)


def accuracy(rows: Sequence[dict[str, Any]]) -> float:
    """Share of completions that the grader calls correct."""
    return sum(row["verdict"] == "correct" for row in rows) / len(rows)


def write(place: Place, name: str, content: Any) -> None:
    """Keep something for a later check."""
    (place.folder / name).write_text(json.dumps(content), encoding="utf-8")


def read(place: Place, name: str, made_by: str) -> Any:
    """What an earlier check kept. Raises FileNotFoundError, naming that check, where it kept nothing."""
    path = place.folder / name
    if not path.is_file():
        raise FileNotFoundError(f"{name} is missing: the check {made_by} makes it; run it first, in the same call")
    return json.loads(path.read_text(encoding="utf-8"))


class Clock:
    """Seconds of a block, with the device's queued work done at both ends."""

    seconds = 0.0


@contextmanager
def timed(place: Place) -> Iterator[Clock]:
    """Measure a block."""
    clock = Clock()
    settle(place)
    started = time.perf_counter()
    yield clock
    settle(place)
    clock.seconds = time.perf_counter() - started


def settle(place: Place) -> None:
    """Wait until a GPU has done what it was given."""
    if place.on_gpu:
        import torch

        torch.cuda.synchronize()


def forget_peak(place: Place) -> None:
    """Let the next `peak_gb` begin here."""
    if place.on_gpu:
        import torch

        torch.cuda.init()  # without it there is no account to reset
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_gb(place: Place) -> float | None:
    """The most memory that tensors held, in GB; None on a CPU."""
    if not place.on_gpu:
        return None
    import torch

    return round(torch.cuda.max_memory_allocated() / 1e9, 3)


def in_gb(peak: float | None) -> str:
    """A peak for the table."""
    return "peak not measured on a CPU" if peak is None else f"peak {peak:.2f} GB"
