"""The stage `collect_shard`: graded completions of a block of questions."""

from __future__ import annotations

from latent_core.config.sampling import SamplingConfig
from tasks.collect import CollectInputs, CollectShard, collect_shard
from tasks.tables import SAMPLES
from tests.support.stage_bench import MINI, TRAINING, StageBench, thought


def test_collect_grades_every_sample_of_its_block_and_counts_verdicts_and_tokens(bench: StageBench) -> None:
    problems = TRAINING.open().problems(1, 3)
    right, wrong = (thought("so it is", answer) for answer in (problems[0].gold, "12345"))
    engine = bench.answer(right, wrong, wrong, "no end of thinking")
    config = CollectShard(sampling=SamplingConfig(samples=2, temperature=0.7), start=1, stop=3)
    content = bench.perform(collect_shard.call(config, CollectInputs(MINI, TRAINING))).manifest.content
    rows = list(SAMPLES.rows(bench.store.require(next(bench.store.list("collect_shard")))))
    assert [(row["question_id"], row["sample_index"]) for row in rows] == [
        (problem.question_id, index) for problem in problems for index in (0, 1)
    ]
    assert [row["verdict"] for row in rows][:3] == ["correct", "wrong", "wrong"]
    assert rows[3]["verdict"] not in ("correct", "wrong") and rows[0]["reasoning"].strip() == "so it is"
    assert content.accounting == {"kept": 4} and content.metrics["questions"] == 2
    assert content.metrics["verdicts"] == {"correct": 1, "wrong": 2, rows[3]["verdict"]: 1}
    assert content.metrics["tokens"] == sum(row["tokens"] for row in rows) > 0
    assert problems[1].question in engine.prompts[2]
