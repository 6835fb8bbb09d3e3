"""Training as the tests of this folder start it; as a program it trains in a process of its own, and may die there.

python training_runs.py ROOT NAME KILL_AT SETTINGS
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather

from latent_core.config.training import TrainConfig
from latent_core.dual import DualVocabulary, RemapCounts, remap_row
from latent_core.models.readable import ReadableModel
from latent_core.sft.mini_corpus import examples
from latent_core.sft.rank import Progress, TrainResult
from latent_core.sft.trainer import train

SETTINGS: dict[str, Any] = {
    "learning_rate": 5e-3, "steps": 6, "batch_size": 4, "micro_batch_size": 4, "max_length": 512,
    "eval_every": 3, "save_every": 3, "dtype": "float32",
}  # fmt: skip


def weights(directory: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    found: dict[str, Any] = {}
    for path in sorted(directory.glob("*.safetensors")):
        found |= load_file(path)
    assert found
    return found


def largest_difference(one: Path, other: Path) -> float:
    """Over all tensors of two folders of weights, which must have the same names."""
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    return max((left[name] - right[name]).abs().max().item() for name in left)


def loss_curve(result: TrainResult) -> list[tuple[float, str, float]]:
    """Step, kind and value of every logged loss; a training loss is a mean since the last one logged."""
    return [
        (entry["step"], kind, entry[kind]) for entry in result.curve for kind in ("loss", "eval_loss") if kind in entry
    ]


def example_rows(model: ReadableModel, count: int, start: int) -> list[dict[str, Any]]:
    """Examples for a model; a dual one's have latent reasoning."""
    rows = list(examples(model.tokenizer, "train", count, (1,), start))
    if model.vocabulary is None:
        return rows
    pairs = [remap_row(row["input_ids"], row["labels"], model.vocabulary, RemapCounts()) for row in rows]
    return [{"input_ids": pair[0], "labels": pair[1]} for pair in pairs if pair is not None]


def write_inputs(root: Path, model_dir: Path, training: pa.Table, validation: pa.Table | None = None) -> Path:
    """A folder from which `run` trains."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "model").symlink_to(model_dir)
    feather.write_feather(training, str(root / "training.arrow"))
    if validation is not None:
        feather.write_feather(validation, str(root / "validation.arrow"))
    return root


def write_example_inputs(root: Path, model_dir: Path, model: ReadableModel, training: int, validation: int) -> Path:
    """The same, with so many examples for the model; those for validation are others."""
    tables = [
        pa.Table.from_pylist(example_rows(model, count, start)) for count, start in ((training, 0), (validation, 50))
    ]
    return write_inputs(root, model_dir, *tables)


def run(
    root: Path, name: str, settings: dict[str, Any], kill_at: int = 0, progress: Progress | None = None
) -> TrainResult:
    """Train into the folder `name`; by SIGKILL nothing is left of this process after step `kill_at`, 0 for never."""
    vocabulary = DualVocabulary.load(root / "model") if (root / "model" / "dual_vocab.json").is_file() else None
    latents = range(vocabulary.visible_size, vocabulary.visible_size + vocabulary.latent_size) if vocabulary else ()

    def die(done: int, total: int) -> None:
        if kill_at and done >= kill_at:  # what is reported may skip a step
            os.kill(os.getpid(), signal.SIGKILL)

    validation = root / "validation.arrow"
    return train(
        root / "model",
        feather.read_table(str(root / "training.arrow")),
        feather.read_table(str(validation)) if validation.is_file() else None,
        TrainConfig(**{**SETTINGS, **settings}),
        out_dir=root / name / "out",
        checkpoint_dir=root / name / "checkpoints",
        latent_ids=latents,
        progress=progress or die,
    )


def run_and_die(root: Path, name: str, settings: dict[str, Any], kill_at: int) -> int:
    """The same in a process of its own; its exit status."""
    command = [sys.executable, __file__, str(root), name, str(kill_at), json.dumps(settings)]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[4]), int(sys.argv[3]))
