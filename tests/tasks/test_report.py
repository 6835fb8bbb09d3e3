"""The stage `report`: a page over evaluations, with the counts of the stages behind them and what the check found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latent_core.config.training import LatentRows
from latent_core.evaluation.condition import Condition, Kind, role_of
from latent_core.evaluation.following import following
from latent_core.evaluation.summary import summarise
from latent_core.report import Place
from latent_core.store import ArtifactRef
from tasks.report import REPORT_HTML, TABLE_MARKDOWN, ReportConfig, ReportInputs, write_report
from tasks.tables import SAMPLES
from tests.support.stage_bench import StageBench, sample

RECORD = {"environment": {"commit": "abc"}, "tokens_per_second": 10.0}


def _evaluation(bench: StageBench, right: int, tokens: int) -> ArtifactRef:
    rows: list[dict[str, Any]] = [
        sample(number, "r", "correct" if number < right else "wrong")
        | {
            "level": None,
            "tokens": tokens,
            "reasoning_tokens": tokens // 2,
            "latent_tokens": 0,
            "completion": "c",
            "answer": "4",
        }
        for number in range(10)
    ]
    return bench.input(
        "evaluate", {SAMPLES: rows}, accounting={"kept": 10}, metrics=summarise(rows).to_metrics(), record=RECORD
    )


def _checked(bench: StageBench) -> ArtifactRef:
    counts: Mapping[str, int] = {"kept": 10, "equal_to_training": 0, "overlap_training": 0}
    metrics = {"tested": 10, "training": 20, "procedural": 0}
    return bench.input("contamination", accounting=counts, metrics=metrics, record=RECORD)


def test_report_shows_each_evaluation_and_what_the_stages_counted(bench: StageBench) -> None:
    evaluations = {
        Condition("base", Kind.UNTRAINED, 1.0): _evaluation(bench, 2, 80),
        Condition("dual", Kind.RATIO, 1.0): _evaluation(bench, 9, 60),
        Condition("dual", Kind.RATIO, 0.5): _evaluation(bench, 7, 30),
    }
    stages = {
        "collect": bench.input("collect", accounting={"kept": 1234, "unparsed": 77}, record=RECORD),
        "contamination": _checked(bench),
    }
    config = ReportConfig(title="A report", latent_rows=LatentRows.FROZEN)
    made = bench.perform(write_report.call(config, ReportInputs(evaluations, stages)))
    assert list(made.manifest.content.parents) == sorted([*map(role_of, evaluations), *stages])
    assert made.manifest.content.accounting == {"kept": 3}
    table = made.read_bytes(TABLE_MARKDOWN).decode()
    for accuracy in ("20.0", "90.0", "70.0"):
        assert accuracy in table
    page = made.read_bytes(REPORT_HTML).decode()
    assert "A report" in page and "1234" in page.replace(",", "") and "unparsed" in page
    assert "The latent rows of dual were frozen" in page
    assert "of 10 test questions, 0 are also among the 20 training questions" in page
    files = {item.path for item in made.manifest.content.files}
    assert {"results.csv", "comparisons.csv", "comparisons.md", "tables.tex", "tables.pdf"} <= files
    assert "dual,base,1.0" in made.read_bytes("comparisons.csv").decode()
    assert "Most reasoning saved, accuracy within 3 points of the untrained model" in page


def test_report_keeps_its_fingerprint_at_the_usual_margin_and_wherever_its_links_lead(bench: StageBench) -> None:
    inputs = ReportInputs({Condition("base", Kind.UNTRAINED, 1.0): _evaluation(bench, 2, 80)})
    plain = write_report.call(ReportConfig(title="t"), inputs).ref
    assert write_report.call(ReportConfig(title="t", places=(Place("MLflow", "http://m", ""),)), inputs).ref == plain
    assert write_report.call(ReportConfig(title="t", margin=0.05), inputs).ref != plain


def test_report_draws_the_training_of_a_policy_that_was_diagnosed_and_of_no_other(bench: StageBench) -> None:
    evaluations = {Condition("policy", Kind.GRPO, 1.0): _evaluation(bench, 9, 60)}
    metrics = {"steps": [{"step": step, "reward": 0.1, "sampler_kl": 0.0} for step in range(3)]}
    drawn = {}
    for stage, found in (("grpo", metrics), ("grpo", {}), ("agent", metrics)):
        stages = {"train/grpo": bench.input(stage, metrics=found, record=RECORD)}
        made = bench.perform(write_report.call(ReportConfig(title="t"), ReportInputs(evaluations, stages)))
        files = {item.path for item in made.manifest.content.files}
        drawn[stage, bool(found)] = "figures/training.svg" in files
        assert ("figures/reasoning.svg" in files) == (b'id="figure-reasoning"' in made.read_bytes(REPORT_HTML))
        assert drawn[stage, bool(found)] == (b'id="figure-training"' in made.read_bytes(REPORT_HTML))
    assert drawn == {("grpo", True): True, ("grpo", False): False, ("agent", True): False}


def test_report_says_how_many_answers_follow_a_swapped_reasoning(bench: StageBench) -> None:
    rows = [
        sample(number, "r", "wrong")
        | {"level": None, "tokens": 9, "reasoning_tokens": 5, "latent_tokens": 0, "completion": "c", "answer": "4"}
        for number in range(10)
    ]
    swapped = summarise(rows).with_following(following([True] * 6 + [False] * 2 + [None] * 2))
    evaluations = {
        Condition("dual", Kind.RATIO, 0.5): _evaluation(bench, 9, 60),
        Condition("dual", Kind.SWAPPED_REASONING, 0.5): bench.input(
            "intervene", {SAMPLES: rows}, accounting={"kept": 10}, metrics=swapped.to_metrics(), record=RECORD
        ),
    }
    made = bench.perform(write_report.call(ReportConfig(title="t"), ReportInputs(evaluations)))
    page = made.read_bytes(REPORT_HTML).decode()
    assert "dual, swapped reasoning 0.5: 75.0 % [40.9, 92.9] of the answers are those of the question whose" in page
    assert "(8 answers; 2 more where both questions have one answer)" in page
    assert "swapped reasoning 0.5" in made.read_bytes(TABLE_MARKDOWN).decode()
    assert b"swapped" not in made.read_bytes("figures/pareto.svg")
