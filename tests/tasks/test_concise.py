"""The stages of self-training: which samples are shown as examples, drawn for a prompt, selected and trained on."""

from __future__ import annotations

from latent_core.config.concise import PrepareSelectedConfig, SelectExemplarsConfig, SelectShortestConfig
from latent_core.config.prompting import TextFormat
from latent_core.config.sampling import SamplingConfig
from tasks.concise import (
    FewShotInputs,
    FewShotShard,
    PrepareFormat,
    PrepareSelectedInputs,
    SelectExemplarsInputs,
    SelectShortestInputs,
    collect_few_shot,
    prepare_selected,
    select_exemplars,
    select_shortest,
)
from tasks.tables import EXEMPLARS, SAMPLES, SELECTED, TRAIN
from tests.support.stage_bench import MINI, TRAINING, StageBench, sample, thought

LONG, SHORT = "first we add two and then we add two more to it", "2 + 2 = 4."


def test_select_exemplars_takes_the_shortest_correct_sample_of_each_question(bench: StageBench) -> None:
    rows = [sample(1, LONG), sample(1, SHORT, index=1), sample(2, "bad", "wrong"), sample(3, LONG)]
    samples = bench.input("collect", {SAMPLES: rows})
    made = bench.perform(select_exemplars.call(SelectExemplarsConfig(count=1), SelectExemplarsInputs(MINI, samples)))
    assert [row["reasoning"] for row in EXEMPLARS.rows(made)] == [SHORT]
    content = made.manifest.content
    assert {name: count for name, count in content.accounting.items() if count} == {
        "kept": 1, "longer": 1, "wrong": 1, "not_among_shortest": 1,
    }  # fmt: skip
    (row,) = EXEMPLARS.rows(made)
    assert content.metrics == {"exemplars": 1, "longest_tokens": row["tokens"]}


def test_collect_few_shot_shows_worked_examples_of_other_questions_before_the_question(bench: StageBench) -> None:
    (problem,) = TRAINING.open().problems(0, 1)
    own = sample(1, "its own", gold=problem.gold) | {"question_id": problem.question_id, "question": problem.question}
    shown = [{"source": "samples", "tokens": 4} | row for row in (own, sample(2, SHORT))]
    names = EXEMPLARS.schema().names
    exemplars = bench.input("select_exemplars", {EXEMPLARS: [{name: row[name] for name in names} for row in shown]})
    engine = bench.answer(thought("short", problem.gold))
    config = FewShotShard(
        sampling=SamplingConfig(), start=0, stop=1, per_prompt=1, seed=0, text_format=TextFormat.BOXED
    )
    made = bench.perform(collect_few_shot.call(config, FewShotInputs(MINI, TRAINING, exemplars)))
    (prompt,) = engine.prompts
    assert prompt.index(SHORT) < prompt.index(problem.question) and "its own" not in prompt
    assert made.manifest.content.metrics["verdicts"] == {"correct": 1} and made.rows == 1


def test_select_shortest_compares_both_collections_and_names_the_source(bench: StageBench) -> None:
    samples = bench.input("collect", {SAMPLES: [sample(1, LONG), sample(2, SHORT)]})
    few_shot = bench.input("collect_few_shot", {SAMPLES: [sample(1, SHORT), sample(2, LONG)]})
    config = SelectShortestConfig()
    both = bench.perform(select_shortest.call(config, SelectShortestInputs(MINI, samples, few_shot)))
    rows = list(SELECTED.rows(both))
    assert [(row["question_id"], row["source"], row["reasoning"]) for row in rows] == [
        ("q1", "few_shot", SHORT),
        ("q2", "samples", SHORT),
    ]
    metrics = both.manifest.content.metrics
    assert metrics["questions"] == 2 and metrics["by_source"] == {"few_shot": 1, "samples": 1}
    assert metrics["mean_tokens"] == rows[0]["tokens"] == rows[1]["tokens"]
    assert both.manifest.content.accounting == {"kept": 2, "longer": 2}
    alone = bench.perform(select_shortest.call(config, SelectShortestInputs(MINI, samples)))
    assert [row["reasoning"] for row in SELECTED.rows(alone)] == [LONG, SHORT] and alone.ref != both.ref


def test_prepare_selected_writes_the_selected_reasoning_in_the_format(bench: StageBench) -> None:
    names = SELECTED.schema().names
    row = sample(1, SHORT) | {"source": "samples", "tokens": 4}
    selected = bench.input("select_shortest", {SELECTED: [{name: row[name] for name in names}]})
    prepared = PrepareSelectedConfig(validation_share=0.0)
    config = PrepareFormat(prepare=prepared, text_format=TextFormat.XML)
    made = bench.perform(prepare_selected.call(config, PrepareSelectedInputs(MINI, selected)))
    (example,) = TRAIN.rows(made)
    assert SHORT in example["target"] and "<answer>4</answer>" in example["target"]
    assert made.manifest.content.accounting == {"kept": 1}
