"""From chains of thought and their compressions to training examples (TokenSkip §3.2, arXiv 2502.12067)."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from latent_core import prompts
from latent_core.benchmarks.problem import Problem
from latent_core.config.tokenskip import PrepareConfig, RatioPolicy
from latent_core.dual.remap import RemapCounts, RemapOutcome, remap_row
from latent_core.errors import InputError
from latent_core.generate.completions import ReadableModel

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, Any]
Key = tuple[str, int]


def example_schema() -> pa.Schema:
    """Columns of a training example; `labels` is -100 on the prompt and equals `input_ids` on the target."""
    import pyarrow as pa

    return pa.schema(
        [
            ("question_id", pa.string()),
            ("sample_index", pa.int32()),
            ("ratio", pa.float64()),
            ("achieved_ratio", pa.float64()),
            ("split", pa.string()),
            ("prompt", pa.string()),
            ("target", pa.string()),
            ("input_ids", pa.list_(pa.int32())),
            ("labels", pa.list_(pa.int32())),
        ]
    )


def is_validation(question_id: str, share: float, seed: int) -> bool:
    """Whether a question belongs to the validation split: by its id, so that its samples never part."""
    digest = hashlib.sha256(f"split/{seed}/{question_id}".encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64


def choose_ratios(available: Sequence[float], key: Key, config: PrepareConfig, accounting: Counter[str]) -> list[float]:
    """The ratios at which a record is used; a drawn ratio that is missing is redrawn among the others and counted."""
    if config.policy is RatioPolicy.ALL_RATIOS:
        accounting["missing_ratio"] += len(set(config.ratios) - set(available))
        return [ratio for ratio in config.ratios if ratio in available]
    draw = random.Random(f"ratio/{config.seed}/{key[0]}/{key[1]}")
    order = draw.sample(config.ratios, len(config.ratios))
    if order[0] not in available:
        accounting["redrawn"] += 1
    return [next(ratio for ratio in order if ratio in available)]


def tokenskip_examples(
    samples: Iterable[Row],
    compressed: Iterable[Row],
    model: ReadableModel,
    config: PrepareConfig,
    accounting: Counter[str],
) -> Iterator[dict[str, Any]]:
    """Examples of the correct chains of thought, at their drawn ratios; for a dual model with latent reasoning.

    `samples` has the columns of collection and `compressed` those of compression, both in the order of collection
    (the compressed rows of a sample lie together). `accounting` counts each left-out sample or example by reason.
    """
    texts = _Grouped(compressed)
    remapped = RemapCounts()
    for sample in samples:
        key = (sample["question_id"], sample["sample_index"])
        if sample["verdict"] != "correct":
            accounting[sample["verdict"]] += 1
            continue
        variants = texts.take(key)
        if not variants:
            accounting["not_compressed"] += 1  # too long or empty: left out at every ratio, 1.0 included
            continue
        available = [1.0, *variants]
        for ratio in choose_ratios(available, key, config, accounting):
            reasoning, achieved = (sample["reasoning"], 1.0) if ratio == 1.0 else variants[ratio]
            example = _example(sample, reasoning, ratio, achieved, model, config)
            kept = _latent(example, model, config, remapped, accounting)
            if kept is not None and len(kept["input_ids"]) > config.max_length:
                accounting["too_long"] += 1
            elif kept is not None:
                accounting["kept"] += 1
                accounting[f"{kept['split']}_at_{ratio:g}"] += 1
                yield kept
    texts.expect_end()


def rationale_examples(
    problems: Iterable[Problem],
    model: ReadableModel,
    share: float,
    seed: int,
    max_length: int,
    accounting: Counter[str],
) -> Iterator[dict[str, Any]]:
    """Examples from gold rationales, for the warm start of a model that cannot solve the benchmark yet."""
    for problem in problems:
        if not problem.rationale:
            accounting["no_rationale"] += 1
            continue
        row = {
            "question_id": problem.question_id, "sample_index": 0, "question": problem.question, "gold": problem.gold
        }  # fmt: skip
        config = PrepareConfig(ratios=(1.0,), validation_share=share, seed=seed, max_length=max_length)
        example = _example(row, problem.rationale.split("####")[0], 1.0, 1.0, model, config)
        if len(example["input_ids"]) > max_length:
            accounting["too_long"] += 1
            continue
        accounting["kept"] += 1
        yield example


def _example(
    sample: Row, reasoning: str, ratio: float, achieved: float, model: ReadableModel, config: PrepareConfig
) -> dict[str, Any]:
    prompt = prompts.render_prompt(sample["question"], model.tokenizer, model.family, ratio=ratio)
    target = prompts.render_target(reasoning, sample["gold"], model.family)
    prompt_ids, target_ids = prompts.encode(prompt, model.tokenizer), prompts.encode(target, model.tokenizer)
    held_out = is_validation(sample["question_id"], config.validation_share, config.seed)
    return {
        "question_id": sample["question_id"],
        "sample_index": sample["sample_index"],
        "ratio": ratio,
        "achieved_ratio": achieved,
        "split": "validation" if held_out else "train",
        "prompt": prompt,
        "target": target,
        "input_ids": prompt_ids + target_ids,
        "labels": [-100] * len(prompt_ids) + target_ids,
    }


def _latent(
    example: dict[str, Any],
    model: ReadableModel,
    config: PrepareConfig,
    counts: RemapCounts,
    accounting: Counter[str],
) -> dict[str, Any] | None:
    if model.vocabulary is None:
        return example
    before = dict(counts.rows)
    pair = remap_row(example["input_ids"], example["labels"], model.vocabulary, counts, outside=config.outside_subset)
    if pair is None:
        reason = next(outcome for outcome in RemapOutcome if counts.rows[outcome] > before[outcome])
        accounting[reason.value] += 1
        return None
    return example | {"input_ids": pair[0], "labels": pair[1]}


class _Grouped:
    """Compressed rows taken sample by sample from a stream in collection's order."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = iter(rows)
        self._next = next(self._rows, None)

    def take(self, key: Key) -> dict[float, tuple[str, float]]:
        """The compressions of one sample by ratio; empty when the stream's next sample is another one."""
        found: dict[float, tuple[str, float]] = {}
        while self._next is not None and (self._next["question_id"], self._next["sample_index"]) == key:
            found[self._next["ratio"]] = (self._next["text"], self._next["achieved_ratio"])
            self._next = next(self._rows, None)
        return found

    def expect_end(self) -> None:
        """Raise InputError when rows are left: they belong to no sample, so the two inputs do not fit together."""
        if self._next is not None:
            raise InputError(
                f"prepare: compressed row of {self._next['question_id']} has no sample in order; "
                "the compressions were made from another collection"
            )
