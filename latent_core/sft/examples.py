"""From chains of thought and their compressions to training examples (TokenSkip §3.2, arXiv 2502.12067)."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from latent_core import prompts
from latent_core.benchmarks.problem import Problem
from latent_core.config.prepare import PrepareConfig, RatioLabel, RatioPolicy
from latent_core.config.ratio_form import AUTO, AskedRatio
from latent_core.dual.remap import IGNORED, RemapCounts, RemapOutcome, remap_row
from latent_core.errors import InputError
from latent_core.models.readable import ReadableModel
from latent_core.sft.buckets import Text, Variants, bucketed
from latent_core.sft.ratio_choice import Key, asks_auto, balanced_ratios, choose_ratios

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, Any]
Cell = tuple[float, str, str]  # ratio, split, outcome
_UNSUPERVISED = array("i", [IGNORED])
PROMPTS_KEPT = 256  # more than the ratios of a question, whose samples lie together and share their prompts


def example_schema() -> pa.Schema:
    """Columns of a training example; `labels` is -100 on the prompt and equals `input_ids` on the target.

    `ratio` is what the text was compressed to, or the bucket that it is labelled with (`prepare.ratio_label`).
    """
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


@lru_cache(maxsize=PROMPTS_KEPT)
def is_validation(question_id: str, share: float, seed: int) -> bool:
    """Whether a question belongs to the validation split: by its id, so that its samples never part."""
    digest = hashlib.sha256(f"split/{seed}/{question_id}".encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64


def tokenskip_examples(
    samples: Iterable[Row],
    compressed: Iterable[Row],
    model: ReadableModel,
    config: PrepareConfig,
    accounting: Counter[str],
    outcomes: Counter[Cell],
    good: Container[tuple[str, int, float]] | None = None,
) -> Iterator[dict[str, Any]]:
    """Examples of the correct chains of thought, at their drawn ratios; for a dual model with latent reasoning.

    `samples` has the columns of collection and `compressed` those of compression, both in the order of collection
    (the compressed rows of a sample lie together). `good` holds the (question, sample, ratio) that a quality filter
    keeps, None keeps all. `accounting` counts each sample or example that is kept, or by the reason why it is not;
    `outcomes` counts the examples once more, by ratio and split.
    """
    texts = _Grouped(compressed)
    remapped = RemapCounts()
    prompted = lru_cache(maxsize=PROMPTS_KEPT)(partial(_prompt, model))
    for sample, variants, ratios in _with_ratios(_usable(samples, texts, config, accounting), config, accounting):
        for ratio in ratios:
            text = variants[ratio]
            if good is not None and (sample["question_id"], sample["sample_index"], text.requested) not in good:
                accounting["low_quality"] += 1
                held_out = is_validation(sample["question_id"], config.validation_share, config.seed)
                outcomes[ratio, "validation" if held_out else "train", "low_quality"] += 1
                continue
            example = _example(sample, text, ratio, model, config, prompted)
            kept = _latent(example, model, config, remapped, accounting)
            if kept is None:
                outcomes[ratio, example["split"], "not_latent"] += 1
            elif len(kept["input_ids"]) > config.max_length:
                accounting["too_long"] += 1
                outcomes[ratio, kept["split"], "too_long"] += 1
            else:
                accounting["kept"] += 1
                outcomes[ratio, kept["split"], "kept"] += 1
                yield kept
    texts.expect_end()


def ratio_table(outcomes: Mapping[Cell, int]) -> list[dict[str, Any]]:
    """Examples by outcome, one row a ratio and split, the highest ratio first."""
    places = sorted({(ratio, split) for ratio, split, _ in outcomes}, key=lambda place: (-place[0], place[1]))
    names = sorted({outcome for _, _, outcome in outcomes})
    return [
        {"ratio": ratio, "split": split} | {name: outcomes.get((ratio, split, name), 0) for name in names}
        for ratio, split in places
    ]


def _usable(
    samples: Iterable[Row], texts: _Grouped, config: PrepareConfig, accounting: Counter[str]
) -> Iterator[tuple[Row, Variants]]:
    """The correct samples that were compressed, with their texts by the ratio that these are taught at."""
    for sample in samples:
        if sample["verdict"] != "correct":
            accounting[sample["verdict"]] += 1
            continue
        variants = texts.take((sample["question_id"], sample["sample_index"]))
        if not variants:
            accounting["not_compressed"] += 1  # too long or empty: left out at every ratio, 1.0 included
            continue
        if config.ratio_label is RatioLabel.BUCKET:
            variants = bucketed(variants, config, accounting)
        yield sample, {**variants, 1.0: Text(sample["reasoning"], 1.0, 1.0)}


def _with_ratios(
    usable: Iterable[tuple[Row, Variants]], config: PrepareConfig, accounting: Counter[str]
) -> Iterator[tuple[Row, Variants, list[float]]]:
    """Each usable sample with the ratios at which it is used."""
    if config.policy is not RatioPolicy.BALANCED:
        for sample, variants in usable:
            key = (sample["question_id"], sample["sample_index"])
            yield sample, variants, choose_ratios([*variants], key, config, accounting)
        return
    for question_id, group in groupby(usable, key=lambda item: str(item[0]["question_id"])):
        pairs = list(group)
        shares = balanced_ratios(len(pairs), question_id, config)
        for (sample, variants), ratios in zip(pairs, shares, strict=True):
            there = [ratio for ratio in ratios if ratio in variants]
            accounting["missing_ratio"] += len(ratios) - len(there)
            yield sample, variants, there


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
        whole = Text(problem.rationale.split("####")[0], 1.0, 1.0)
        example = _example(row, whole, 1.0, model, config, partial(_prompt, model))
        if fits(example, max_length, accounting):
            yield example


class Prompt(NamedTuple):
    """A prompt as text and as token ids."""

    text: str
    ids: array[int]

    @classmethod
    def of(cls, model: ReadableModel, question: str, **how: Any) -> Prompt:
        """The prompt of a question; `how` are `prompts.render_prompt`'s own settings."""

        def render(asked: str) -> str:
            return prompts.render_prompt(asked, model.tokenizer, model.family, **how)

        return cls(render(question), model.encode_around(render, question))


def _prompt(model: ReadableModel, question: str, ratio: AskedRatio) -> Prompt:
    return Prompt.of(model, question, ratio=ratio)


def _example(
    sample: Row,
    text: Text,
    ratio: float,
    model: ReadableModel,
    config: PrepareConfig,
    prompted: Callable[[str, AskedRatio], Prompt],
) -> dict[str, Any]:
    named = achieved_label(text.achieved) if config.ratio_label is RatioLabel.ACHIEVED else ratio
    asked: AskedRatio = AUTO if asks_auto(sample, ratio, config) else named
    return tokenised_example(
        sample,
        prompted(sample["question"], asked),
        prompts.render_target(text.reasoning, sample["gold"], model.family, ratio=named),
        model,
        ratio=ratio,
        achieved=text.achieved,
        validation_share=config.validation_share,
        seed=config.seed,
    )


def fits(example: Row, max_length: int, accounting: Counter[str]) -> bool:
    """Whether an example has at most `max_length` tokens; `accounting` counts it as kept or too_long."""
    short = len(example["input_ids"]) <= max_length
    accounting["kept" if short else "too_long"] += 1
    return short


def achieved_label(achieved: float) -> float:
    """An achieved ratio as a prompt names it: in hundredths, within (0, 1]."""
    return min(1.0, max(0.01, round(achieved, 2)))


def tokenised_example(
    sample: Row,
    prompt: Prompt,
    target: str,
    model: ReadableModel,
    *,
    ratio: float = 1.0,
    achieved: float = 1.0,
    validation_share: float,
    seed: int,
) -> dict[str, Any]:
    """A row of `example_schema`, its ids as arrays: the loss is on the target, the split follows from the question."""
    target_ids = model.encode_packed(target)
    held_out = is_validation(sample["question_id"], validation_share, seed)
    return {
        "question_id": sample["question_id"],
        "sample_index": sample["sample_index"],
        "ratio": ratio,
        "achieved_ratio": achieved,
        "split": "validation" if held_out else "train",
        "prompt": prompt.text,
        "target": target,
        "input_ids": prompt.ids + target_ids,
        "labels": _UNSUPERVISED * len(prompt.ids) + target_ids,
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
    return example | {"input_ids": array("i", pair[0]), "labels": array("i", pair[1])}


class _Grouped:
    """Compressed rows taken sample by sample from a stream in collection's order."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = iter(rows)
        self._next = next(self._rows, None)

    def take(self, key: Key) -> Variants:
        """The compressions of one sample by ratio; empty when the stream's next sample is another one."""
        found: Variants = {}
        while self._next is not None and (self._next["question_id"], self._next["sample_index"]) == key:
            ratio = float(self._next["ratio"])
            found[ratio] = Text(self._next["text"], self._next["achieved_ratio"], ratio)
            self._next = next(self._rows, None)
        return found

    def expect_end(self) -> None:
        """Raise InputError when rows are left: they belong to no sample, so the two inputs do not fit together."""
        if self._next is not None:
            raise InputError(
                f"prepare: compressed row of {self._next['question_id']} has no sample in order; "
                "the compressions were made from another collection"
            )
