"""Texts are labelled by the bucket nearest to what they achieved, and what is left out is counted."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from latent_core.config.prepare import PrepareConfig, RatioLabel, RatioPolicy
from latent_core.models.readable import ReadableModel
from latent_core.sft.buckets import Text, bucketed, nearest_bucket
from latent_core.sft.examples import Cell, ratio_table, tokenskip_examples

NINE = tuple(number / 10 for number in range(1, 10))
FOUR = (0.2, 0.4, 0.6, 0.8)


def _config(**fields: Any) -> PrepareConfig:
    return PrepareConfig(**{"ratios": (1.0, *NINE), "ratio_label": RatioLabel.BUCKET, "buckets": FOUR, **fields})


def _texts(achieved: dict[float, float]) -> dict[float, Text]:
    return {requested: Text(f"text {requested}", kept, requested) for requested, kept in achieved.items()}


def test_label_of_any_text_is_its_nearest_bucket_and_within_the_tolerance() -> None:
    draw = random.Random(1)
    labelled = 0
    for _ in range(5_000):
        buckets = tuple(draw.sample(range(1, 101), draw.randint(1, 6)))
        ratios = tuple(bucket / 100 for bucket in buckets)
        if min(ratios) == 1:
            continue
        achieved, tolerance = draw.choice([draw.random(), draw.randint(0, 110) / 100]), draw.randint(1, 30) / 100
        label = nearest_bucket(achieved, ratios, tolerance)
        distances = {ratio: round(abs(achieved - ratio), 7) for ratio in ratios if ratio < 1}
        least = min(distances.values())
        assert (label is not None) == (least <= tolerance)
        if label is not None:
            labelled += 1
            assert distances[label] == least and all(label >= other for other, far in distances.items() if far == least)
    assert 500 < labelled < 4_500


@pytest.mark.parametrize(
    ("achieved", "label"),
    [
        (0.2, 0.2),
        (0.29, 0.2),
        (0.3, 0.4),
        (0.31, 0.4),
        (0.1, 0.2),
        (0.09, None),
        (0.9, 0.8),
        (0.91, None),
        (0.99, None),
    ],
)
def test_halfway_is_the_larger_bucket_and_beyond_the_tolerance_is_none(achieved: float, label: float | None) -> None:
    assert nearest_bucket(achieved, FOUR, 0.1) == label


def test_bucket_keeps_the_text_nearest_to_it_and_counts_the_others() -> None:
    accounting: Counter[str] = Counter()
    variants = _texts({0.1: 0.05, 0.2: 0.15, 0.3: 0.24, 0.4: 0.45, 0.5: 0.45, 0.6: 0.62, 0.9: 0.97, 0.95: 0.4})
    found = bucketed(variants, _config(), accounting)
    assert {bucket: text.requested for bucket, text in found.items()} == {0.2: 0.3, 0.4: 0.5, 0.6: 0.6}
    assert accounting == {"no_bucket": 2, "same_bucket": 2}  # 0.95 was not asked for, and so takes no bucket


def _rows(questions: int, samples: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Chains of thought, and each at nine ratios of which it achieves others."""
    draw = random.Random(3)
    whole, small = [], []
    for question in range(questions):
        for index in range(samples):
            key = {"question_id": f"q{question}", "sample_index": index}
            said = {"question": f"What is {question}?", "gold": "4", "reasoning": "All the words."}
            whole.append(key | said | {"verdict": "correct"})
            for ratio in NINE:
                achieved = min(1.0, max(0.0, ratio + draw.uniform(-0.25, 0.25)))
                small.append(key | {"ratio": ratio, "text": f"kept {achieved}", "achieved_ratio": achieved})
    return whole, small


@pytest.mark.parametrize("policy", RatioPolicy)
def test_policy_chooses_among_buckets_and_every_text_is_accounted_for(
    policy: RatioPolicy, plain: ReadableModel
) -> None:
    whole, small = _rows(30, 4)
    accounting: Counter[str] = Counter()
    outcomes: Counter[Cell] = Counter()
    config = _config(policy=policy)
    rows = list(tokenskip_examples(whole, small, plain, config, accounting, outcomes))
    for row in rows:
        assert row["ratio"] in config.labels == (1.0, 0.8, 0.6, 0.4, 0.2)
        assert (row["ratio"] == 1.0) == ("All the words." in row["target"])
        if row["ratio"] < 1:
            assert nearest_bucket(row["achieved_ratio"], FOUR, 0.1) == row["ratio"]
            assert f"kept {row['achieved_ratio']}" in row["target"]
            assert f"<|im_end|>{row['ratio']:g}<|im_end|>" in row["prompt"]
    sorted_in = len(small) - accounting["no_bucket"] - accounting["same_bucket"]
    by_ratio = Counter(row["ratio"] for row in rows)
    assert {row["ratio"] for row in ratio_table(outcomes)} == set(by_ratio) == set(config.labels)
    match policy:
        case RatioPolicy.ALL_RATIOS:
            assert len(rows) == len(whole) + sorted_in
            assert accounting["missing_ratio"] == 5 * len(whole) - len(rows)
        case RatioPolicy.ONE_RATIO_PER_RECORD:
            assert len(rows) == len(whole) and accounting["redrawn"] > 0
        case RatioPolicy.BALANCED:
            asked = 5 * 30  # every question once at each of the five
            assert len(rows) == asked - accounting["missing_ratio"] and by_ratio[1.0] == 30


def test_sample_without_any_bucket_is_counted_and_left_out(plain: ReadableModel) -> None:
    whole, _ = _rows(1, 1)
    far = [{"question_id": "q0", "sample_index": 0, "ratio": 0.5, "text": "far", "achieved_ratio": 0.99}]
    accounting: Counter[str] = Counter()
    config = _config(ratios=(0.5,), buckets=None)
    assert not list(tokenskip_examples(whole, far, plain, config, accounting, Counter()))
    assert accounting["no_bucket"] == accounting["missing_ratio"] == 1 and accounting["kept"] == 0


def test_requested_ratios_are_the_buckets_where_none_are_given() -> None:
    assert _config(ratios=(0.5, 1.0, 0.3), buckets=None).labels == (1.0, 0.5, 0.3)
    assert _config(ratios=(0.5, 0.3)).labels == (0.8, 0.6, 0.4, 0.2)
    assert PrepareConfig(ratios=(0.5, 1.0)).labels == (1.0, 0.5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"buckets": ()}, "buckets"),
        ({"buckets": (0.0, 0.5)}, "buckets.0"),
        ({"buckets": (0.5, 1.2)}, "buckets.1"),
        ({"buckets": (0.5, 0.5)}, "prepare.buckets: a ratio appears twice"),
        ({"buckets": (1.0,)}, "prepare.buckets: needs one below 1"),
        ({"bucket_tolerance": 0}, "bucket_tolerance"),
        ({"bucket_tolerance": -0.1}, "bucket_tolerance"),
        ({"ratio_label": "requested"}, "prepare.buckets: has no effect; set prepare.ratio_label: bucket"),
        ({"ratio_label": "requested", "buckets": None, "bucket_tolerance": 0.2}, "prepare.bucket_tolerance: has no"),
        ({"ratio_label": "nearest"}, "ratio_label"),
        ({"auto_share": 1.0}, "auto_share"),
    ],
)
def test_bucket_settings_that_make_no_sense_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _config(**fields)


def test_fields_of_today_leave_the_identity_as_it_was() -> None:
    added = {"ratio_label", "buckets", "bucket_tolerance", "auto_share", "quality_top"}
    assert not added & set(PrepareConfig(bucket_tolerance=0.1, auto_share=0.0, buckets=None).identity())
    assert added - {"quality_top"} <= set(_config(bucket_tolerance=0.2, auto_share=0.1).identity())
