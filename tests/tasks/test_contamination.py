"""The contamination stage: what it counts, what the report says of it, and the way out that it names."""

from __future__ import annotations

import json
from pathlib import Path

from latent_core.config.benchmark import BenchmarkConfig
from latent_core.store import Artifact, ArtifactStore
from tasks.contamination import CheckContamination, ContaminationInputs, check_contamination
from tasks.environment import code_version
from tasks.findings import CONTAMINATED, finding
from tasks.inputs import ProblemsInput
from tasks.stage import Workplace
from tasks.tables import SAMPLES
from tasks.workers.compute import perform
from tests.support.stage_bench import StageBench, sample

LONG = "A farmer walks to the market with three baskets of red apples and sells two of them before noon. How many {}?"


def _benchmark(folder: Path, **fields: object) -> BenchmarkConfig:
    training = ["How many legs have 3 cats?", LONG.format("are left"), "What is 2 + 2?"]
    test = ["How many legs have 3 cats", LONG.format("did he sell"), "What is 5 + 5?", "What is 6 + 6?"]
    for name, questions in (("train", training), ("test", test)):
        rows = [json.dumps({"question": question, "gold": "1"}) for question in questions]
        (folder / f"{name}.jsonl").write_text("\n".join(rows))
    paths = {"train_path": str(folder / "train.jsonl"), "test_path": str(folder / "test.jsonl")}
    return BenchmarkConfig.model_validate({"name": "file", **paths, **fields})


def _checked(folder: Path, benchmark: BenchmarkConfig, *, questions: int, training: int) -> Artifact:
    call = check_contamination.call(
        CheckContamination(questions=questions, training=training),
        ContaminationInputs(ProblemsInput.find(benchmark, "test"), ProblemsInput.find(benchmark, "train")),
    )
    return perform(call, Workplace(ArtifactStore(str(folder / "store")), folder / "scratch", lambda *_: None))


def test_contamination_equal_and_overlapping_questions_are_counted_named_and_the_fix_is_given(tmp_path: Path) -> None:
    artifact = _checked(tmp_path, _benchmark(tmp_path), questions=4, training=3)
    counts = artifact.manifest.content.accounting
    assert counts == {"kept": 2, "equal_to_training": 1, "overlap_training": 1}
    listed = json.loads(artifact.read_bytes(CONTAMINATED))
    assert listed == {"equal": ["file_test_0"], "overlapping": ["file_test_1"]}
    sentence = finding(artifact)
    assert "of 4 test questions, 1 are also among the 3 training questions, and 1 more share 13 words" in sentence
    assert "benchmark.drop_contaminated=true leaves them out" in sentence


def test_contamination_only_the_questions_of_the_run_are_compared(tmp_path: Path) -> None:
    artifact = _checked(tmp_path, _benchmark(tmp_path), questions=4, training=1)
    assert artifact.manifest.content.accounting == {"kept": 3, "equal_to_training": 1, "overlap_training": 0}


def test_contamination_after_removal_nothing_is_left_to_find(tmp_path: Path) -> None:
    artifact = _checked(tmp_path, _benchmark(tmp_path, drop_contaminated=True), questions=2, training=3)
    assert artifact.manifest.content.accounting == {"kept": 2, "equal_to_training": 0, "overlap_training": 0}
    assert "drop_contaminated" not in finding(artifact)


def test_contamination_of_templates_says_that_sentences_are_shared_by_design(tmp_path: Path) -> None:
    artifact = _checked(tmp_path, BenchmarkConfig(difficulties=(1,)), questions=50, training=500)
    assert artifact.manifest.content.accounting["overlap_training"] > 0
    assert "share sentences by design" in finding(artifact)


def test_manifest_records_the_commit_of_the_code(tmp_path: Path) -> None:
    artifact = _checked(tmp_path, _benchmark(tmp_path), questions=1, training=1)
    assert artifact.manifest.record["environment"]["commit"] == code_version() != ""


def test_contamination_of_samples_is_looked_for_in_each_of_their_questions_once(
    bench: StageBench, tmp_path: Path
) -> None:
    asked = ["how many legs have 3 cats?", "What is 7 + 7?"]
    rows = [sample(number, "r", index=index) | {"question": asked[number]} for number in (0, 1) for index in (0, 1)]
    samples = bench.input("collect", {SAMPLES: rows})
    test = ProblemsInput.find(_benchmark(tmp_path), "test")
    call = check_contamination.call(CheckContamination(questions=4, training=None), ContaminationInputs(test, samples))
    artifact = bench.perform(call)
    content = artifact.manifest.content
    assert content.accounting == {"kept": 3, "equal_to_training": 1, "overlap_training": 0}
    assert "Take them out of the chains of thought" in finding(artifact)
    assert content.metrics["training"] == 2
