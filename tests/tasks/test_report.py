"""The stage `report`: a page over evaluations, with the counts of the stages behind them and what the check found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latent_core.config.training import LatentRows
from latent_core.evaluation.summary import summarise
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
        "evaluation/base/untrained": _evaluation(bench, 2, 80),
        "evaluation/dual/ratio 1": _evaluation(bench, 9, 60),
        "evaluation/dual/ratio 0.5": _evaluation(bench, 7, 30),
    }
    stages = {
        "collect": bench.input("collect", accounting={"kept": 1234, "unparsed": 77}, record=RECORD),
        "contamination": _checked(bench),
    }
    config = ReportConfig(title="A report", latent_rows=LatentRows.FROZEN)
    made = bench.perform(write_report.call(config, ReportInputs(evaluations, stages)))
    assert list(made.manifest.content.parents) == sorted([*evaluations, *stages])
    assert made.manifest.content.accounting == {"kept": 3}
    table = made.read_bytes(TABLE_MARKDOWN).decode()
    for accuracy in ("20.0", "90.0", "70.0"):
        assert accuracy in table
    page = made.read_bytes(REPORT_HTML).decode()
    assert "A report" in page and "1234" in page.replace(",", "") and "unparsed" in page
    assert "The latent rows of dual were frozen" in page
    assert "of 10 test questions, 0 are also among the 20 training questions" in page
