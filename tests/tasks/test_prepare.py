"""The stages `prepare` and `prepare_warm_start`: which texts become examples, and what is counted of the others."""

from __future__ import annotations

from typing import Any

import pytest

from latent_core.config.prepare import PrepareConfig, RatioPolicy
from latent_core.models.family import load_tokenizer
from latent_core.models.source import open_model
from tasks.prepare import PrepareInputs, WarmStartExamples, WarmStartInputs, prepare, prepare_warm_start
from tasks.tables import COMPRESSED, QUALITY, SAMPLES, TRAIN, VALIDATION
from tests.support.stage_bench import MINI, TRAINING, StageBench, sample


def _small(question: int, ratio: float, text: str, index: int = 0) -> dict[str, Any]:
    return {
        "question_id": f"q{question}", "sample_index": index, "ratio": ratio, "text": text, "achieved_ratio": ratio,
        "tokens_before": 8, "tokens_after": 4, "answer_retained": True,
    }  # fmt: skip


def _score(index: int, ratio: float, score: float) -> dict[str, Any]:
    return {"question_id": "q1", "sample_index": index, "ratio": ratio, "score": score, "tokens": 1}


def test_prepare_writes_every_correct_sample_at_every_ratio_with_the_reasoning_of_that_ratio(bench: StageBench) -> None:
    samples = bench.input("collect", {SAMPLES: [sample(1, "two and two are 4"), sample(2, "five", "wrong")]})
    compressed = bench.input("compress", {COMPRESSED: [_small(1, 0.5, "two two 4")]})
    config = PrepareConfig(ratios=(1.0, 0.5), policy=RatioPolicy.ALL_RATIOS, validation_share=0.0)
    made = bench.perform(prepare.call(config, PrepareInputs(MINI, samples, compressed)))
    rows = {row["ratio"]: row for row in TRAIN.rows(made)}
    assert "two and two are 4" in rows[1.0]["target"] and "two two 4" in rows[0.5]["target"]
    assert all("\\boxed{4}" in row["target"] and "Question 1" in row["prompt"] for row in rows.values())
    content = made.manifest.content
    assert content.accounting["kept"] == 2 and content.metrics["rows"] == {"train": 2, "validation": 0}
    assert content.metrics["tokens"] == {"train": sum(len(row["input_ids"]) for row in rows.values())}
    assert not list(VALIDATION.rows(made))


@pytest.mark.parametrize(("top", "kept"), [(1.0, ["worse", "better"]), (0.5, ["better"])])
def test_prepare_keeps_the_best_scored_share_of_a_questions_texts(
    bench: StageBench, top: float, kept: list[str]
) -> None:
    texts = [sample(1, "worse"), sample(1, "better", index=1)]
    samples = bench.input("collect", {SAMPLES: texts})
    compressed = bench.input("compress", {COMPRESSED: [_small(1, 0.5, "text", index) for index in (0, 1)]})
    quality = bench.input("score_quality", {QUALITY: [_score(0, 1.0, -2.0), _score(1, 1.0, -1.0)]})
    config = PrepareConfig(ratios=(1.0,), validation_share=0.0, quality_top=top)
    made = bench.perform(prepare.call(config, PrepareInputs(MINI, samples, compressed, quality)))
    assert [word for row in TRAIN.rows(made) for word in kept if word in row["target"]] == kept
    assert made.rows == len(kept)


def test_prepare_warm_start_writes_gold_rationales_and_counts_what_is_too_long(bench: StageBench) -> None:
    problems = TRAINING.open().problems(0, 6)
    tokenizer = load_tokenizer(open_model("latent-mini").directory)
    config = WarmStartExamples(questions=6, validation_share=0.0, max_length=10_000, seed=0)
    whole = bench.perform(prepare_warm_start.call(config, WarmStartInputs(MINI, TRAINING)))
    rows = list(TRAIN.rows(whole))
    assert [row["question_id"] for row in rows] == [problem.question_id for problem in problems]
    assert problems[0].rationale is not None and problems[0].rationale[:40] in rows[0]["target"]
    taught = [token for token, label in zip(rows[0]["input_ids"], rows[0]["labels"], strict=True) if label != -100]
    assert tokenizer.decode(taught) == rows[0]["target"]
    longest = max(len(row["input_ids"]) for row in rows)
    shorter = config.model_copy(update={"max_length": longest - 1})
    accounting = bench.perform(
        prepare_warm_start.call(shorter, WarmStartInputs(MINI, TRAINING))
    ).manifest.content.accounting
    assert accounting["too_long"] >= 1 and sum(accounting.values()) == 6
