"""Useful training tokens per CPU second, ours against padding to the longest example of a random batch; one thread.

    python -m bench.training [--steps 6] [--batch 32] [--micro 8] [--runs 5] [--json out.json]

All ways train the same model on the same examples with the same effective batch, alternating; every run starts from the
same weights. A useful token is one of an example, prompt included; padding is not. `reference` is the plain Trainer of
transformers over a random order, in passes of `--micro` examples padded to their longest, full logits. The others are
`latent_core.sft`, whose steps hold the same examples at random but are cut into passes by length:

- `padded`: one example a row, the default on a CPU;
- `packed`: a pass is one row without padding, which pays where attention skips what belongs to other examples (flash
  attention on a GPU); the CPU's attention computes and masks it;
- `by_length`: `train.batching`, steps of examples of one length, another distribution of batches.

Only optimizer steps are timed, not loading or saving. A run's number is useful tokens over CPU seconds of this process.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from bench.record import add_json_option, save
from latent_core.config.training import Layout, TrainConfig, TrainMethod

WAYS = ("reference", "padded", "packed", "by_length")


class Speed(NamedTuple):
    """One run, from the end of its first step to the end of its last: useful tokens, CPU seconds."""

    useful: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.useful / self.seconds


def examples(model_dir: Path, rows: int) -> pa.Table:
    """Worked problems of all difficulties whose reasoning is cut to one of four shares, as ratios mix the lengths."""
    from latent_core.models.readable import ReadableModel
    from latent_core.sft.mini_corpus import examples

    model = ReadableModel.load(model_dir)
    draw = random.Random(0)
    found = []
    for row in examples(model.tokenizer, "train", rows, (1, 2, 3, 4, 5)):
        start = next(place for place, label in enumerate(row["labels"]) if label != -100)
        end = row["labels"].index(model.family.think_end_id)
        stop = start + round((end - start) * draw.choice((1.0, 0.7, 0.5, 0.3)))
        found.append({name: row[name][:stop] + row[name][end:] for name in ("input_ids", "labels")})
    return pa.Table.from_pylist(found)


def reference(model_dir: Path, table: pa.Table, config: TrainConfig, folder: Path) -> Speed:
    """What a user would write: transformers' Trainer, a random order, passes padded to their longest example."""
    import torch
    from datasets import Dataset
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    passes: list[int] = []  # useful tokens of each
    marks: list[float] = []
    pad = DataCollatorForSeq2Seq(AutoTokenizer.from_pretrained(model_dir), label_pad_token_id=-100)

    def collate(rows: list[dict[str, Any]]) -> Any:
        passes.append(sum(len(row["input_ids"]) for row in rows))
        return pad(rows)

    class Timer(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            marks.append(time.process_time())

    per_step = config.batch_size // config.micro_batch_size
    Trainer(
        model=AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32),
        args=TrainingArguments(
            output_dir=str(folder),
            max_steps=config.steps,
            per_device_train_batch_size=config.micro_batch_size,
            gradient_accumulation_steps=per_step,
            learning_rate=config.learning_rate,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        ),
        data_collator=collate,
        train_dataset=Dataset(table),
        callbacks=[Timer()],
    ).train()
    return Speed(sum(passes[per_step : per_step * config.steps]), marks[-1] - marks[0])


def ours(model_dir: Path, table: pa.Table, config: TrainConfig, folder: Path) -> Speed:
    """`latent_core.sft`: the same full fine-tuning through the library's own call, timed by its progress."""
    from latent_core.sft.plan import steps_of
    from latent_core.sft.trainer import train

    marks: list[float] = []
    train(
        model_dir,
        table,
        None,
        config,
        out_dir=folder / "out",
        checkpoint_dir=folder / "checkpoints",
        progress=lambda done, total: marks.append(time.process_time()),
    )
    lengths = [len(ids) for ids in table["input_ids"].to_pylist()]
    return Speed(sum(lengths[index] for step in steps_of(lengths, config)[1:] for index in step), marks[-1] - marks[0])


def padding(way: str, lengths: Sequence[int], config: TrainConfig) -> float:
    """Share of the positions a way computes that hold padding: it follows from the batches, not from a clock."""
    from latent_core.sft.plan import micro_batches, steps_of

    if way == "packed":
        return 0.0
    steps, size = steps_of(lengths, config), config.micro_batch_size
    passes = (
        [step[start : start + size] for step in steps for start in range(0, len(step), size)]
        if way == "reference"
        else micro_batches(steps, lengths, config, rank=0, processes=1)
    )
    passes = [one for one in passes if max(one) < len(lengths)]  # without the blank ones of a short step
    tokens = sum(lengths[index] for one in passes for index in one)
    return 1 - tokens / sum(len(one) * max(lengths[index] for index in one) for one in passes)


def settings(way: str, steps: int, batch: int, micro: int) -> TrainConfig:
    """The same training for every way, but for what the way is about."""
    return TrainConfig(
        method=TrainMethod.FULL,
        learning_rate=1e-4,
        steps=steps,
        batch_size=batch,
        micro_batch_size=micro,
        save_every=steps + 1,
        dtype="float32",
        batching="by_length" if way == "by_length" else "random",
        layout=Layout.PACKED if way == "packed" else Layout.PADDED,
    )


def run(way: str, model_dir: Path, table: pa.Table, config: TrainConfig) -> Speed:
    """One run of a way, in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        return (reference if way == "reference" else ours)(model_dir, table, config, Path(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="latent-mini")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--micro", type=int, default=8)
    parser.add_argument("--runs", type=int, default=5)
    add_json_option(parser)
    arguments = parser.parse_args()

    import torch

    from latent_core.models.source import open_model

    torch.set_num_threads(1)
    model_dir = open_model(arguments.model).directory
    table = examples(model_dir, arguments.batch * arguments.steps)
    lengths = [len(ids) for ids in table["input_ids"].to_pylist()]
    configs = {way: settings(way, arguments.steps, arguments.batch, arguments.micro) for way in WAYS}
    padded = {way: padding(way, lengths, config) for way, config in configs.items()}
    for way in WAYS:
        print(f"{way:>10}: {padded[way]:6.1%} of its positions are padding", flush=True)
    speeds: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(arguments.runs + 1):
        for way in WAYS:
            speed = run(way, model_dir, table, configs[way]).per_second
            if number:  # the first round warms up
                speeds[way].append(speed)
                print(f"run {number}: {way} {speed:,.0f}", flush=True)
    ratios = {
        way: statistics.median(mine / theirs for mine, theirs in zip(speeds[way], speeds["reference"], strict=True))
        for way in WAYS
    }
    for way in WAYS:
        print(f"{way:>10}: {statistics.median(speeds[way]):9,.0f} useful tokens/CPU s, {ratios[way]:.2f} x reference")
    save(arguments.json, {"padding": padded, "speeds": speeds, "ratios": ratios})


if __name__ == "__main__":
    main()
