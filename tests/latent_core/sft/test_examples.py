"""Preparation: which sample becomes which example, and that every row is accounted for."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from latent_core.config.prepare import PrepareConfig, RatioLabel, RatioPolicy
from latent_core.errors import InputError
from latent_core.models.readable import ReadableModel
from latent_core.sft.examples import Cell, is_validation, ratio_table, tokenskip_examples

RATIOS = (0.7, 0.5)


def _sample(index: int, verdict: str = "correct", sample: int = 0) -> dict[str, Any]:
    return {
        "question_id": f"q{index}",
        "sample_index": sample,
        "question": f"Tom has {index} apples.",
        "gold": str(index),
        "reasoning": f"Tom has {index} apples, so the number is {index}.",
        "verdict": verdict,
    }


def _compressed(sample: dict[str, Any], ratios: tuple[float, ...] = RATIOS) -> list[dict[str, Any]]:
    return [
        {key: sample[key] for key in ("question_id", "sample_index")}
        | {"ratio": ratio, "text": f"apples {sample['gold']} at {ratio}", "achieved_ratio": ratio + 0.01}
        for ratio in ratios
    ]


def _prepare(
    samples: list[dict[str, Any]], compressed: list[dict[str, Any]], model: ReadableModel, **settings: Any
) -> tuple[list[dict[str, Any]], Counter[str]]:
    accounting: Counter[str] = Counter()
    config = PrepareConfig(**{"ratios": (1.0, *RATIOS), **settings})
    return list(tokenskip_examples(samples, compressed, model, config, accounting, Counter())), accounting


def test_every_sample_is_kept_or_counted_with_its_reason(plain: ReadableModel) -> None:
    samples = [_sample(0), _sample(1, "wrong"), _sample(2, "truncated"), _sample(3, "unparsed"), _sample(4)]
    rows, accounting = _prepare(samples, _compressed(samples[0]), plain)
    assert [row["question_id"] for row in rows] == ["q0"]
    reasons = ("kept", "wrong", "truncated", "unparsed", "not_compressed")
    assert {reason: accounting[reason] for reason in reasons} == dict.fromkeys(reasons, 1)


def test_labels_cover_exactly_the_target(plain: ReadableModel) -> None:
    sample = _sample(7)
    (row,), _ = _prepare([sample], _compressed(sample), plain, ratios=(0.5,))
    supervised = [token for token in row["labels"] if token != -100]
    assert (
        plain.decode(supervised)
        == row["target"]
        == ("apples 7 at 0.5\n\n</think>\n\nThe final answer is: $\\boxed{7}$<|im_end|>")
    )
    assert plain.decode(row["input_ids"]) == row["prompt"] + row["target"]
    assert "<|im_end|>0.5<|im_end|>" in row["prompt"]


def test_ratio_one_uses_the_source_text_and_no_suffix(plain: ReadableModel) -> None:
    sample = _sample(7)
    (row,), _ = _prepare([sample], _compressed(sample), plain, ratios=(1.0,))
    assert row["target"].startswith("Tom has 7 apples") and row["achieved_ratio"] == 1.0
    assert row["prompt"].count("<|im_end|>") == 2  # the closed system and user turns, no suffix between


def test_dual_example_has_latent_reasoning_and_visible_rest(plain: ReadableModel, dual: ReadableModel) -> None:
    sample = _sample(7)
    (visible,), _ = _prepare([sample], _compressed(sample), plain, ratios=(0.5,))
    (latent,), _ = _prepare([sample], _compressed(sample), dual, ratios=(0.5,))
    assert dual.vocabulary is not None
    end = latent["labels"].index(dual.vocabulary.think_end_id)
    start = next(position for position, label in enumerate(latent["labels"]) if label != -100)
    is_latent = dual.vocabulary.is_latent(latent["input_ids"])
    assert is_latent[start:end].all() and not is_latent[:start].any() and not is_latent[end:].any()
    assert dual.vocabulary.to_visible(latent["input_ids"]).tolist() == list(visible["input_ids"])
    assert latent["labels"][start:] == latent["input_ids"][start:]


def test_example_has_no_list_whose_numbers_the_cycle_collector_walks_through(
    plain: ReadableModel, dual: ReadableModel
) -> None:
    sample = _sample(7)
    for model in (plain, dual):
        (row,), _ = _prepare([sample], _compressed(sample), model, ratios=(0.5,))
        assert not any(isinstance(value, list) for value in row.values())


def test_one_ratio_per_record_draws_each_ratio_and_is_repeatable(plain: ReadableModel) -> None:
    samples = [_sample(index) for index in range(60)]
    compressed = [row for sample in samples for row in _compressed(sample)]
    rows, _ = _prepare(samples, compressed, plain)
    again, _ = _prepare(samples, compressed, plain)
    assert rows == again and len(rows) == 60
    assert {row["ratio"] for row in rows} == {1.0, 0.7, 0.5}


def test_missing_drawn_ratio_is_redrawn_and_counted(plain: ReadableModel) -> None:
    samples = [_sample(index) for index in range(60)]
    rows, accounting = _prepare(samples, [row for s in samples for row in _compressed(s, (0.7,))], plain)
    assert len(rows) == 60 and {row["ratio"] for row in rows} == {1.0, 0.7}
    assert accounting["redrawn"] > 0


def test_all_ratios_makes_one_example_per_ratio(plain: ReadableModel) -> None:
    sample = _sample(1)
    rows, _ = _prepare([sample], _compressed(sample), plain, policy=RatioPolicy.ALL_RATIOS)
    assert [row["ratio"] for row in rows] == [1.0, 0.7, 0.5]


def test_samples_of_one_question_share_a_split(plain: ReadableModel) -> None:
    samples = [_sample(index, sample=number) for index in range(80) for number in range(3)]
    rows, _ = _prepare(samples, [row for s in samples for row in _compressed(s)], plain, validation_share=0.3)
    splits = {(row["question_id"], row["split"]) for row in rows}
    assert len(splits) == 80
    share = sum(split == "validation" for _, split in splits) / 80
    assert 0.1 < share < 0.5


def test_validation_share_zero_holds_nothing_out() -> None:
    assert not any(is_validation(f"q{index}", 0.0, 1) for index in range(100))


def test_example_over_the_length_limit_is_counted_at_every_ratio(plain: ReadableModel) -> None:
    sample = _sample(7)
    rows, accounting = _prepare([sample], _compressed(sample), plain, policy=RatioPolicy.ALL_RATIOS, max_length=8)
    assert rows == [] and accounting["too_long"] == 3


def test_compressions_of_another_collection_raise(plain: ReadableModel) -> None:
    with pytest.raises(InputError, match="another collection"):
        _prepare([_sample(1)], _compressed(_sample(2)), plain)


def test_redrawn_ratios_are_counted_exactly(plain: ReadableModel) -> None:
    samples = [_sample(index) for index in range(60)]
    whole, _ = _prepare(samples, [row for s in samples for row in _compressed(s)], plain)
    drawn = {row["question_id"]: row["ratio"] for row in whole}
    rows, accounting = _prepare(samples, [row for s in samples for row in _compressed(s, (0.7,))], plain)
    redrawn = [row for row in rows if row["ratio"] != drawn[row["question_id"]]]
    assert accounting["redrawn"] == len(redrawn) == sum(ratio == 0.5 for ratio in drawn.values()) > 0


@pytest.mark.parametrize("samples_each", [1, 2, 3, 4, 6])
def test_balanced_policy_uses_every_question_at_every_ratio_equally_often(
    samples_each: int, plain: ReadableModel
) -> None:
    samples = [_sample(index, sample=number) for index in range(9) for number in range(samples_each)]
    rows, _ = _prepare(samples, [row for s in samples for row in _compressed(s)], plain, policy=RatioPolicy.BALANCED)
    times = Counter((row["question_id"], row["ratio"]) for row in rows)
    assert len(times) == 9 * 3 and set(times.values()) == {-(-samples_each // 3)}
    assert {(row["question_id"], row["sample_index"]) for row in rows} == {
        (sample["question_id"], sample["sample_index"]) for sample in samples
    }
    assert len({(row["question_id"], row["sample_index"], row["ratio"]) for row in rows}) == len(rows)


def test_achieved_label_names_what_the_text_kept(plain: ReadableModel) -> None:
    sample = _sample(7)
    requested, achieved = (
        _prepare([sample], _compressed(sample), plain, ratios=(0.5,), ratio_label=label)[0][0]
        for label in (RatioLabel.REQUESTED, RatioLabel.ACHIEVED)
    )
    assert "<|im_end|>0.5<|im_end|>" in requested["prompt"]
    assert achieved["prompt"] == requested["prompt"].replace("<|im_end|>0.5<", "<|im_end|>0.51<")
    assert achieved["ratio"] == 0.5 and achieved["achieved_ratio"] == 0.51 and achieved["target"] == requested["target"]


def test_table_counts_every_example_by_ratio_split_and_outcome(plain: ReadableModel) -> None:
    samples = [_sample(index) for index in range(40)]
    samples[3] |= {"reasoning": "long " * 400}  # at ratio 1.0 alone, since its compressions are short
    compressed = [row for sample in samples for row in _compressed(sample)]
    accounting: Counter[str] = Counter()
    outcomes: Counter[Cell] = Counter()
    config = PrepareConfig(
        ratios=(1.0, *RATIOS), policy=RatioPolicy.ALL_RATIOS, validation_share=0.3, max_length=300, seed=1
    )
    rows = list(tokenskip_examples(samples, compressed, plain, config, accounting, outcomes))
    table = ratio_table(outcomes)
    assert [(row["ratio"], row["split"]) for row in table] == [
        (ratio, split) for ratio in (1.0, 0.7, 0.5) for split in ("train", "validation")
    ]
    kept = Counter((row["ratio"], row["split"]) for row in rows)
    assert {(row["ratio"], row["split"]): row["kept"] for row in table} == kept
    assert sum(row["kept"] + row["too_long"] for row in table) == 3 * 40
    assert sum(row["too_long"] for row in table if row["ratio"] == 1.0) == accounting["too_long"] == 1
