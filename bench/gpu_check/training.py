"""Supervised training by the real trainer: its losses against a CPU's, resuming, seconds a step, peak memory."""

from __future__ import annotations

import shutil
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from bench.gpu_check.findings import Findings
from bench.gpu_check.place import REFERENCE, Place, dual_folder, forget_peak, in_gb, peak_gb, read, settle, write

STEPS, SAVE_EVERY = 6, 2
METHODS = ("lora", "full")
REFERENCES = "training.json"
TOLERANCES = {"float32": 2e-3, "bfloat16": 0.05}  # relative, of the mean losses of two steps each
RESUME_TOLERANCE = 2e-3  # a GPU adds gradients up in no fixed order


class Trained(NamedTuple):
    """Losses at every `SAVE_EVERY` steps, the median step, and the most memory."""

    losses: list[float]
    seconds: float
    peak: float | None
    resumed_from: int


def reference(place: Place, findings: Findings) -> None:
    """Losses of both methods on the CPU in float32."""
    here = Place("cpu", place.tiny, place.folder)
    losses = {}
    for method in METHODS:
        found = trained(here, f"cpu-{method}", method, "float32")
        losses[method] = found.losses
        findings.note(
            f"{method} on the CPU, float32", f"losses {told(found.losses)}, {found.seconds:.2f} s a step",
            **found._asdict(),
        )  # fmt: skip
    write(place, REFERENCES, losses)


def check(place: Place, findings: Findings) -> None:
    """Each method in each type; then LoRA once more from a checkpoint, and once with the full softmax."""
    expected = read(place, REFERENCES, "training-reference")
    for method in METHODS:
        for dtype, tolerance in TOLERANCES.items():
            found = trained(place, f"{method}-{dtype}", method, dtype)
            apart = apart_of(found.losses, expected[method])
            findings.expect(
                apart <= tolerance, f"{method} in {dtype}",
                f"losses {told(found.losses)}, at most {apart:.1e} from the CPU's; {found.seconds:.3f} s a step, "
                f"{in_gb(found.peak)}",
                apart=apart, **found._asdict(),
            )  # fmt: skip
            if method == "lora":
                _resumed(place, findings, f"{method}-{dtype}", found, dtype)
    full = trained(place, "lora-support-full", "lora", "bfloat16", support="full")
    findings.note(
        "lora in bfloat16, full softmax",
        f"losses {told(full.losses)}, {full.seconds:.3f} s a step, {in_gb(full.peak)}", **full._asdict(),
    )  # fmt: skip


def _resumed(place: Place, findings: Findings, name: str, whole: Trained, dtype: str) -> None:
    """The last checkpoint is taken away, so that training goes on from the one before."""
    shutil.rmtree(place.folder / "trainings" / name / f"checkpoint-{STEPS}")
    again = trained(place, name, "lora", dtype)
    apart = apart_of(again.losses[-1:], whole.losses[-1:])
    findings.expect(
        again.resumed_from == STEPS - SAVE_EVERY and apart <= RESUME_TOLERANCE, f"lora resumed in {dtype}",
        f"from step {again.resumed_from}: last loss {again.losses[-1]:.6f}, {apart:.1e} from the whole training's",
        apart=apart, **again._asdict(),
    )  # fmt: skip


def trained(place: Place, name: str, method: str, dtype: str, support: str = "phase") -> Trained:
    """A few steps on the CPU's drawn completions; latent rows learn beside LoRA."""
    from latent_core.config.training import TrainConfig
    from latent_core.dual.vocabulary import DualVocabulary
    from latent_core.sft.trainer import train

    folder = dual_folder(place)
    vocabulary = DualVocabulary.load(folder)
    config = TrainConfig.model_validate(
        {
            "method": method, "dtype": dtype, "support": support, "steps": STEPS, "batch_size": 8,
            "micro_batch_size": 4, "save_every": SAVE_EVERY, "learning_rate": 1e-4, "processes": 1,
            "warmup_ratio": 0.0, "layout": "padded",
        }
    )  # fmt: skip
    ends = [time.perf_counter()]

    def progress(done: int, total: int) -> None:
        settle(place)
        ends.append(time.perf_counter())

    forget_peak(place)
    result = train(
        folder, examples(place), None, config,
        out_dir=place.folder / "trained" / name, checkpoint_dir=_made(place.folder / "trainings" / name),
        latent_ids=range(vocabulary.visible_size, vocabulary.size), progress=progress,
    )  # fmt: skip
    steps = [later - earlier for earlier, later in pairwise(ends[1:])]  # the first loads kernels
    losses = [entry["loss"] for entry in result.curve if "loss" in entry]
    return Trained(losses, median(steps), peak_gb(place), result.resumed_from_step)


def examples(place: Place) -> Any:
    """Prompts and what the CPU drew at temperature 1 as training examples; the loss is on completions."""
    import pyarrow as pa

    found = read(place, REFERENCE, "reference")
    pairs = [(row["prompt_token_ids"], drawn) for row, drawn in zip(found["rows"], found["drawn"], strict=True)][:24]
    ids = pa.array([[*prompt, *output] for prompt, output in pairs], pa.list_(pa.int32()))
    labels = pa.array([[*[-100] * len(prompt), *output] for prompt, output in pairs], pa.list_(pa.int32()))
    return pa.table({"input_ids": ids, "labels": labels})


def apart_of(found: list[float], expected: list[float]) -> float:
    """The largest relative difference. Raises ValueError for curves of different lengths."""
    return max(abs(one / other - 1) for one, other in zip(found, expected, strict=True))


def told(losses: list[float]) -> str:
    """Losses for the table."""
    return " ".join(f"{loss:.4f}" for loss in losses)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
