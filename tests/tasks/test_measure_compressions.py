"""From chains of thought to measures: every scorer with every unit, on the packaged models."""

from __future__ import annotations

from typing import NoReturn

import pytest

from latent_core.compress.retention import retention
from latent_core.config.compress import CompressConfig, RatioOf, ScoreWordsConfig, Unit
from latent_core.config.measure import MeasureCompressionsConfig
from latent_core.config.prompting import TextFormat
from latent_core.errors import InputError
from latent_core.evaluation import compressions
from tasks import measure_compressions as stages
from tasks.compress import CompressInputs, ScoreWordsInputs, compress, score_words
from tasks.inputs import CompressorInput
from tasks.measure_compressions import MeasureCompressionsInputs, measure_compressions
from tasks.tables import COMPRESSED, MEASURED, SAMPLES
from tasks.workers.engines import warm_scorer
from tests.support.stage_bench import MINI, StageBench, sample

TEXTS = [
    "First Finn has 13 beads, then they are split. 13 - 9 = 4 is what remains. So the answer is 4.",
    "The story tells us that there are 2 shells. Adding gives 2 + 2 = 4, so the new number is 4.",
]
SCORERS = ["latent-compressor", "random:7", "truncate", "lm_surprisal:latent-mini", "cts:latent-mini"]
RATIOS = (0.6, 0.3)


@pytest.mark.parametrize("scorer", SCORERS)
def test_every_scorer_compresses_by_words_and_by_spans_and_is_measured(bench: StageBench, scorer: str) -> None:
    samples = bench.input("collect_shard", {SAMPLES: [sample(i, text) for i, text in enumerate(TEXTS)]})
    scoring = ScoreWordsConfig(spans=True)
    scores = bench.perform(score_words.call(scoring, ScoreWordsInputs(samples, CompressorInput.find(scorer)))).ref
    measures = {}
    for unit in Unit:
        for ratio_of in RatioOf:
            config = CompressConfig(model=scorer, scoring=scoring, ratios=RATIOS, ratio_of=ratio_of, unit=unit)
            small = bench.perform(compress.call(config, CompressInputs(scores, MINI)))
            assert small.manifest.content.accounting == {"kept": 4}
            assert all(len(row["text"]) < len(TEXTS[0]) for row in COMPRESSED.rows(small))
        inputs = MeasureCompressionsInputs(MINI, samples, small.ref)
        measures[unit] = bench.perform(measure_compressions.call(MeasureCompressionsConfig(), inputs))
    for unit, measured in measures.items():
        rows = list(MEASURED.rows(measured))
        by_ratio = {row["ratio"]: row for row in measured.manifest.content.metrics["by_ratio"]}
        assert measured.manifest.content.accounting == {"kept": 4, "beyond_questions": 0}
        assert list(by_ratio) == [1.0, 0.6, 0.3, 0.0] and len(rows) == 8
        assert all(row["scored"] == 2 and row["recoverability"] < 0 for row in by_ratio.values())
        assert by_ratio[1.0]["recoverability"] > by_ratio[0.0]["recoverability"]
        assert (by_ratio[1.0]["number_retention"], by_ratio[1.0]["broken_equations"]) == (1.0, 0.0)
        assert (by_ratio[0.0]["number_retention"], by_ratio[0.0]["answer_retention"]) == (0.0, 0.0)
        if unit is Unit.SPAN:
            assert by_ratio[0.6]["broken_equations"] == by_ratio[0.3]["broken_equations"] == 0.0


def test_measures_stop_after_the_questions_asked_for_and_count_the_rest(bench: StageBench) -> None:
    samples = bench.input("collect_shard", {SAMPLES: [sample(i, text) for i, text in enumerate(TEXTS)]})
    rows = [
        {"question_id": f"q{i}", "sample_index": 0, "ratio": 0.5, "text": "2 + 2 = 4", "achieved_ratio": 0.25 + i}
        for i in range(2)
    ]
    small = bench.input("compress", {COMPRESSED: rows})
    inputs = MeasureCompressionsInputs(MINI, samples, small)
    measured = bench.perform(measure_compressions.call(MeasureCompressionsConfig(questions=1), inputs))
    assert measured.manifest.content.accounting == {"kept": 1, "beyond_questions": 1}
    found = [(row["question_id"], row["ratio"]) for row in MEASURED.rows(measured)]
    assert found == [("q0", 1), ("q0", 0.5), ("q0", 0)]
    assert measured.manifest.content.metrics["by_ratio"][1]["achieved_ratio"] == 0.25
    both = bench.perform(measure_compressions.call(MeasureCompressionsConfig(), inputs))
    assert both.manifest.content.metrics["by_ratio"][1]["achieved_sd"] == 0.5


def _half(bench: StageBench) -> MeasureCompressionsInputs:
    """One sample of the first question, and half of it."""
    samples = bench.input("collect_shard", {SAMPLES: [sample(0, TEXTS[0])]})
    row = {"question_id": "q0", "sample_index": 0, "ratio": 0.5, "text": "13 - 9 = 4", "achieved_ratio": 0.25}
    return MeasureCompressionsInputs(MINI, samples, bench.input("compress", {COMPRESSED: [row]}))


def test_model_that_cannot_score_leaves_recoverability_out_and_says_why(
    bench: StageBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = bench.perform(measure_compressions.call(MeasureCompressionsConfig(), _half(bench)))
    assert "not_scored" not in scored.manifest.content.metrics

    def refuses(*_: object) -> NoReturn:
        raise InputError("model: a scorer needs a model that reasons between think marks")

    monkeypatch.setattr(stages, "warm_scorer", refuses)
    measured = bench.perform(measure_compressions.call(MeasureCompressionsConfig(), _half(bench)))
    metrics = measured.manifest.content.metrics
    assert metrics["not_scored"] == "model: a scorer needs a model that reasons between think marks"
    left_out = {"recoverability": None, "scored": 0}
    assert metrics["by_ratio"] == [row | left_out for row in scored.manifest.content.metrics["by_ratio"]]
    assert [row["gold_logprob"] for row in MEASURED.rows(measured)] == [None] * 3


def test_text_without_room_in_the_context_is_measured_and_not_scored(
    bench: StageBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = _half(bench)
    samples = bench.input("collect_shard", {SAMPLES: [sample(0, TEXTS[0] * 20)]})
    scorer = warm_scorer(MINI.open(), MINI.fingerprint, TextFormat.BOXED)
    monkeypatch.setattr(scorer, "context", 300)
    measured = bench.perform(measure_compressions.call(MeasureCompressionsConfig(), inputs._replace(samples=samples)))
    by_ratio = measured.manifest.content.metrics["by_ratio"]
    assert [(row["scored"], row["recoverability"]) for row in by_ratio] == [(0, None)] * 3
    assert by_ratio[0]["number_retention"] == 1.0
    rows = {row["ratio"]: row["gold_logprob"] for row in MEASURED.rows(measured)}
    assert rows[1.0] is None and rows[0.5] is not None


def test_recoverability_is_of_the_texts_that_were_read_at_every_ratio() -> None:
    kept = {"numbers": 1, "numbers_kept": 1, "equations": 0, "equations_broken": 0, "answer_retained": True}
    logs = {("a", 1.0): -1.0, ("a", 0.5): -3.0, ("b", 1.0): None, ("b", 0.5): -9.0}
    rows = [
        kept | {"question_id": name, "sample_index": 0, "ratio": ratio, "achieved_ratio": ratio, "gold_logprob": log}
        for (name, ratio), log in logs.items()
    ]
    found = [(row["ratio"], row["texts"], row["scored"], row["recoverability"]) for row in compressions.by_ratio(rows)]
    assert found == [(1.0, 2, 1, -1.0), (0.5, 2, 1, -3.0)]


def test_compressions_of_another_collection_are_refused(bench: StageBench) -> None:
    inputs = _half(bench)
    other = bench.input("collect_shard", {SAMPLES: [sample(1, TEXTS[1])]})
    call = measure_compressions.call(MeasureCompressionsConfig(), inputs._replace(samples=other))
    with pytest.raises(InputError, match=r"compressed: 1 of 1 rows belong to no sample in order"):
        bench.perform(call)


@pytest.mark.parametrize(
    ("compressed", "expected"),
    [
        ("Then 3 + 4 = 7. Now 7 - 2 = 5", (6, 6, 2, 0)),
        ("Then 3 + 4 = 7", (6, 3, 2, 0)),
        ("3 = 7 Now 7 - 2 = 5", (6, 5, 2, 1)),
        ("3 4 7 7 2 5", (6, 6, 2, 2)),
        ("Then 7 - 2 = 5", (6, 3, 2, 0)),  # the second's 7, not the first's
        ("then now", (6, 0, 2, 0)),
        ("unheard of 3 + 4", (6, 2, 2, 1)),
        ("", (6, 0, 2, 0)),
    ],
)
def test_retention_counts_numbers_and_the_fewest_broken_equations(compressed: str, expected: tuple[int, ...]) -> None:
    assert retention("Then 3 + 4 = 7. Now 7 - 2 = 5.", compressed) == expected
