"""The stage `prepare_direct`: questions and gold answers, no reasoning."""

from __future__ import annotations

from latent_core.config.direct import DirectExamplesConfig
from tasks.direct import PrepareDirectInputs, prepare_direct
from tasks.tables import TRAIN
from tests.support.stage_bench import MINI, TRAINING, StageBench


def test_prepare_direct_teaches_the_gold_answer_at_once(bench: StageBench) -> None:
    config = DirectExamplesConfig(questions=3, validation_share=0.0)
    made = bench.perform(prepare_direct.call(config, PrepareDirectInputs(MINI, TRAINING)))
    problems = TRAINING.open().problems(0, 3)
    for problem, row in zip(problems, TRAIN.rows(made), strict=True):
        assert problem.question in row["prompt"] and f"\\boxed{{{problem.gold}}}" in row["target"]
        assert problem.rationale is not None and problem.rationale[:20] not in row["target"]
    assert made.manifest.content.accounting == {"kept": 3}
    assert made.manifest.content.metrics["rows"] == {"train": 3, "validation": 0}
