"""The stage `score_quality`: one score for every correct sample and every compression of it."""

from __future__ import annotations

import pytest

from latent_core.config.training import LossSupport
from latent_core.errors import InputError
from tasks.quality import QualityInputs, ScoreQuality, score_quality
from tasks.tables import COMPRESSED, QUALITY, SAMPLES
from tests.support.stage_bench import MINI, StageBench, sample


def test_score_quality_scores_whole_and_compressed_texts_of_correct_samples_only(bench: StageBench) -> None:
    samples = bench.input("collect", {SAMPLES: [sample(1, "2 + 2 = 4."), sample(2, "2 + 2 = 5.", "wrong")]})
    small = {"question_id": "q1", "sample_index": 0, "ratio": 0.5, "text": "2 2 4", "achieved_ratio": 0.5}
    counts = {"tokens_before": 8, "tokens_after": 4, "answer_retained": True}
    compressed = bench.input("compress", {COMPRESSED: [small | counts]})
    made = bench.perform(score_quality.call(ScoreQuality(), QualityInputs(MINI, samples, compressed)))
    rows = {row["ratio"]: row for row in QUALITY.rows(made)}
    assert set(rows) == {1.0, 0.5} and {row["question_id"] for row in rows.values()} == {"q1"}
    assert all(row["score"] < 0 and row["tokens"] > 0 for row in rows.values())
    assert made.manifest.content.accounting == {"kept": 2} and "quality" in made.manifest.content.metrics


def test_judge_that_is_not_dual_is_refused_under_the_identity_of_a_dual_one(bench: StageBench) -> None:
    samples = bench.input("collect", {SAMPLES: [sample(1, "2 + 2 = 4.")]})
    inputs = QualityInputs(MINI, samples, bench.input("compress"))
    with pytest.raises(InputError, match="support: is phase; phase is for dual judges"):
        bench.perform(score_quality.call(ScoreQuality(support=LossSupport.PHASE), inputs))
