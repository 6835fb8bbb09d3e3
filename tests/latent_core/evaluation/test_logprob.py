"""The gold's log-probability as a metric: malformed rows apart, the mean over questions, cut rows, and the report."""

from __future__ import annotations

import math
from typing import Any

import pytest

from latent_core.evaluation.logprob import COLUMN, STATUS, with_logprob
from latent_core.evaluation.summary import Summary, compare, summarise
from latent_core.models.source import open_model
from latent_core.report import build_entries
from latent_core.report.entries import Provenance
from latent_core.report.html import render_report
from latent_core.report.table import markdown_table, results
from latent_core.reward.scorer import Scorer
from latent_core.reward.scores import ScoreRequest
from tests.support.evaluated import evaluated

PROMPT = "<|im_start|>user\nAnn has 3 apples and buys 4. How many?<|im_end|>\n<|im_start|>assistant\n<think>\n"


def row(question: int, logprob: float | None = -1.0, **changes: Any) -> dict[str, Any]:
    return {
        "question_id": f"q{question}", "sample_index": 0, "level": None, "verdict": "correct", "tokens": 10,
        "reasoning_tokens": 5, "latent_tokens": 0, "question": "?", "gold": "7", "completion": "7", "reasoning": "7",
        "answer": "7", COLUMN: logprob,
    } | changes  # fmt: skip


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(open_model("latent-mini").directory)


def completion(scorer: Scorer, text: str, gold: str = "7") -> dict[str, Any]:
    encode = scorer.readable.tokenizer.encode
    prompt, output = (encode(part, add_special_tokens=False) for part in (PROMPT, text))
    return {"prompt_token_ids": prompt, "output_token_ids": output, "gold": gold}


def test_rows_are_scored_as_the_scorer_scores_them_and_malformed_ones_have_no_number(scorer: Scorer) -> None:
    rows = [
        completion(scorer, "3 + 4 = 7</think>\n\nThe final answer is: $\\boxed{9}$"),
        completion(scorer, "3 + 4 = 7 and so on"),
        completion(scorer, ""),
        completion(scorer, "so " * scorer.context + "</think>"),
        completion(scorer, "3 + 4 = 8</think>"),
    ]
    found = list(with_logprob(iter(rows), scorer))
    assert [line[STATUS] for line in found] == ["scored", "no_think_end", "empty", "no_room", "scored"]
    assert [line[COLUMN] is None for line in found] == [False, True, True, True, False]
    (right, wrong) = (found[0][COLUMN], found[4][COLUMN])
    (expected,) = scorer.score([ScoreRequest(tuple(rows[0]["prompt_token_ids"]), (*rows[0]["output_token_ids"],), "7")])
    assert right == pytest.approx(expected.score, abs=1e-5)
    assert wrong < right < 0
    assert [line["gold"] for line in found] == ["7"] * 5


def test_malformed_rows_are_counted_and_not_averaged_in() -> None:
    summary = summarise([row(0, -1.0), row(1, -3.0), row(2, None), row(3, None)])
    found = summary.logprob
    assert found is not None and found.mean is not None
    assert found.mean.value == -2.0 and -3.0 <= found.mean.low < -2.0 < found.mean.high <= -1.0
    assert (found.questions, found.scored, found.malformed) == (2, 2, 2)


def test_a_question_counts_once_however_many_of_its_samples_are_scored() -> None:
    rows = [row(0, -1.0), row(0, -2.0, sample_index=1), row(0, None, sample_index=2), row(1, -4.5)]
    found = summarise(rows).logprob
    assert found is not None and found.mean is not None
    assert found.mean.value == (-1.5 - 4.5) / 2
    assert (found.questions, found.scored, found.malformed) == (2, 3, 1)


def test_summary_with_and_without_the_metric_survives_a_manifest() -> None:
    for rows in ([row(0), row(1, -2.0)], [row(0, None)], [{k: v for k, v in row(0).items() if k != COLUMN}]):
        summary = summarise(rows)
        assert Summary.from_metrics(summary.to_metrics()) == summary
        assert ("logprob" in summary.to_metrics()) == (COLUMN in rows[0])


def test_difference_is_paired_on_the_questions_that_both_score() -> None:
    before = [row(index, None if index == 4 else -1.0 - index) for index in range(6)]
    after = [row(index, None if index == 5 else -1.2 - index) for index in (3, 5, 0, 1, 4, 2)]  # in another order
    found = compare(before, after).logprob
    assert found is not None and found.questions == 4
    assert found.difference.value == pytest.approx(-0.2) and found.difference.high == pytest.approx(-0.2)
    assert found.bootstrap_p < 0.001  # the spread between questions is no noise of a pair
    assert compare(before, [{k: v for k, v in line.items() if k != COLUMN} for line in after]).logprob is None
    assert compare(before, [row(index, None) for index in range(6)]).logprob is None


def test_report_shows_the_difference_against_ratio_1_with_its_pairs() -> None:
    full = [row(index, -1.0 - index / 10) for index in range(6)]
    half = [row(index, None if index == 5 else -1.5 - index / 10) for index in range(6)]
    entries = build_entries([evaluated("m", full), evaluated("m", half, ratio=0.5)])
    lines = markdown_table(results(entries)).splitlines()
    assert "Log-prob against 1.0" in lines[0]
    assert lines[2].endswith("| – |") and lines[3].endswith("| −0.50 (p &lt; 0.001) |")
    page = render_report("t", entries, notes=[], compression=[], accounting=[], provenance=Provenance())
    assert "−0.50 (−0.50 to −0.50, p &lt; 0.001)" in page and "Against 1.0, paired" in page


def test_report_shows_the_metric_only_where_it_was_measured() -> None:
    scored = [row(index, -math.sqrt(index + 1), question_id=f"q{index}") for index in range(4)]
    plain = [{name: value for name, value in line.items() if name != COLUMN} for line in scored]
    measured = build_entries([evaluated("m", scored)])
    both = build_entries([evaluated("m", scored), evaluated("n", plain)])
    without = build_entries([evaluated("n", plain)])
    mean = f"−{(1 + math.sqrt(2) + math.sqrt(3) + 2) / 4:.2f} ("
    assert "Gold log-prob" in markdown_table(results(measured)) and mean in markdown_table(results(measured))
    assert markdown_table(results(both)).rstrip().endswith("– |") and "Gold log-prob" not in markdown_table(
        results(without)
    )

    def page(entries: Any) -> str:
        return render_report("t", entries, notes=[], compression=[], accounting=[], provenance=Provenance())

    assert mean in page(measured) and "How sure of the right answer" in page(both)
    assert "How sure of the right answer" not in page(without) and "Gold log-prob" not in page(without)
