"""The stages `score_words_shard` and `compress_shard`: which chains of thought are scored, and what ratios keep."""

from __future__ import annotations

from latent_core.config.compress import CompressConfig, ScoreWordsConfig, Unit
from tasks.compress import CompressInputs, ScoreWordsInputs, compress, score_words
from tasks.inputs import CompressorInput
from tasks.tables import COMPRESSED, SAMPLES, SCORES
from tests.support.stage_bench import MINI, StageBench, sample

TEXT = "we add two and two so that the sum is 4 and nothing else is left to do"


def test_score_words_takes_correct_samples_within_the_cap_and_compress_keeps_the_share_of_them(
    bench: StageBench,
) -> None:
    rows = [sample(1, TEXT), sample(2, TEXT, "wrong"), sample(3, "too long " * 20), sample(4, " ")]
    samples = bench.input("collect_shard", {SAMPLES: rows})
    scoring = ScoreWordsConfig(max_cot_tokens=30)
    scored = bench.perform(score_words.call(scoring, ScoreWordsInputs(samples, CompressorInput.find("random"))))
    assert scored.manifest.content.accounting == {"kept": 1, "wrong": 1, "too_long": 1, "empty": 1}
    assert [row["question_id"] for row in SCORES.rows(scored)] == ["q1"]

    config = CompressConfig(model="random", scoring=scoring, ratios=(0.7, 0.3))
    small = bench.perform(compress.call(config, CompressInputs(scored.ref, MINI)))
    kept = {row["ratio"]: row for row in COMPRESSED.rows(small)}
    assert small.manifest.content.accounting == {"kept": 2} and list(kept) == [0.7, 0.3]
    words = TEXT.split()
    for ratio, row in kept.items():
        left = row["text"].split()
        assert len(left) < len(words) and [word for word in words if word in left][:1] == left[:1]
        assert row["achieved_ratio"] == row["tokens_after"] / row["tokens_before"] < ratio + 0.15
    drift = small.manifest.content.metrics["ratios"]
    assert [(row["ratio"], row["texts"]) for row in drift] == [(0.7, 1), (0.3, 1)]
    assert drift[1]["achieved_ratio"] == kept[0.3]["achieved_ratio"]


def test_random_spans_keep_equations_as_often_as_words(bench: StageBench) -> None:
    rows = [sample(i, f"in step {i} 3 + 4 = 7 is what follows then for all of them") for i in range(200)]
    samples = bench.input("collect_shard", {SAMPLES: rows})
    scoring = ScoreWordsConfig(spans=True)
    scored = bench.perform(score_words.call(scoring, ScoreWordsInputs(samples, CompressorInput.find("random:3"))))
    config = CompressConfig(model="random:3", scoring=scoring, ratios=(0.3,), unit=Unit.SPAN)
    small = bench.perform(compress.call(config, CompressInputs(scored.ref, MINI)))
    texts = [row["text"] for row in COMPRESSED.rows(small)]
    assert 40 < sum("3 + 4 = 7" in text for text in texts) < 80
    assert not any("+" in text.replace("3 + 4 = 7", "") for text in texts)
