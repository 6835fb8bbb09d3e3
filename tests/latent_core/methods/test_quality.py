"""The quality filter: what is scored, with which number, which share is kept, and that ratio 1.0 is no exception."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from latent_core.config.prepare import PrepareConfig, RatioPolicy
from latent_core.config.quality import QualityConfig, QualityReduction, QualitySpan
from latent_core.errors import InputError, StageFailed
from latent_core.likelihood import head
from latent_core.methods.quality import QualityScorer, best_share, quality_report, spanned, texts_to_score
from latent_core.models.readable import ReadableModel
from latent_core.sft.examples import ratio_table, tokenskip_examples

QUESTION, REASONING, GOLD = "What is 6 + 7?", "6 + 7 = 13, which \\boxed{} would hold", "13"


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (QualitySpan.ANSWER, "13"),
        (QualitySpan.BOXED, "\\boxed{13}"),
        (QualitySpan.AFTER_THINK, "The final answer is: $\\boxed{13}$<|im_end|>"),
    ],
)
def test_span_holds_the_tokens_of_its_text_and_as_few_others_as_they_allow(
    span: QualitySpan, text: str, plain: ReadableModel
) -> None:
    item = spanned(QUESTION, REASONING, GOLD, plain, span)
    assert text in plain.decode(item.ids[item.start : item.stop])
    assert text not in plain.decode(item.ids[item.start + 1 : item.stop])
    assert text not in plain.decode(item.ids[item.start : item.stop - 1])
    assert plain.decode(item.ids).endswith("The final answer is: $\\boxed{13}$<|im_end|>")


@pytest.mark.parametrize("reduction", list(QualityReduction))
def test_score_is_the_log_probability_of_the_span_after_all_before_it(
    reduction: QualityReduction, plain: ReadableModel, plain_dir: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    items = [
        spanned(QUESTION, text, GOLD, plain, QualitySpan.BOXED) for text in ("short", REASONING, "much longer " * 9)
    ]
    config = QualityConfig(reduction=reduction, dtype="float32", batch_tokens=400)
    scores = QualityScorer(plain_dir, config).scores(items)
    model = AutoModelForCausalLM.from_pretrained(plain_dir, dtype=torch.float32).eval()
    for item, score in zip(items, scores, strict=True):
        with torch.inference_mode():
            logs = model(torch.tensor([item.ids])).logits[0].log_softmax(-1)
        steps = [float(logs[place - 1, item.ids[place]]) for place in range(item.start, item.stop)]
        expected = sum(steps) / (len(steps) if reduction is QualityReduction.MEAN else 1)
        assert score == pytest.approx(expected, abs=1e-4)


def test_dual_model_is_asked_under_the_phase_of_the_answer(dual: ReadableModel, dual_dir: Path) -> None:
    """After the reasoning only visible ids without think marks may follow; latents, copies of them, share nothing."""
    import torch
    from transformers import AutoModelForCausalLM

    from latent_core.dual import Phase
    from latent_core.sft.phase_loss import machine_of

    item = spanned(QUESTION, REASONING, GOLD, dual, QualitySpan.AFTER_THINK)
    (score,) = QualityScorer(dual_dir, QualityConfig(dtype="float32", reduction=QualityReduction.SUM)).scores([item])
    machine = machine_of(dual_dir)
    assert machine is not None
    model = AutoModelForCausalLM.from_pretrained(dual_dir, dtype=torch.float32).eval()
    with torch.inference_mode():
        logits = model(torch.tensor([item.ids])).logits[0].double()
    allowed = torch.from_numpy(machine.allowed[Phase.ANSWER].copy())
    logs = logits.masked_fill(~allowed, -torch.inf).log_softmax(-1)
    expected = sum(float(logs[place - 1, item.ids[place]]) for place in range(item.start, item.stop))
    assert score == pytest.approx(expected, abs=1e-5)


def test_judge_with_logits_that_are_not_understood_is_refused(plain_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "_scaling", lambda config: (2.0, None))  # as if the model had halved its logits
    with pytest.raises(InputError, match="makes more of its logits"):
        QualityScorer(plain_dir, QualityConfig(dtype="float32"))


def test_weights_that_are_not_numbers_raise_instead_of_ranking(plain: ReadableModel, plain_dir: Path) -> None:
    import torch

    scorer = QualityScorer(plain_dir, QualityConfig(dtype="float32"))
    with torch.no_grad():
        scorer._model.get_input_embeddings().weight[:] = float("nan")
    with pytest.raises(StageFailed, match="not finite"):
        scorer.scores([spanned(QUESTION, REASONING, GOLD, plain, QualitySpan.BOXED)])


def _scored(question: str, ratio: float, scores: list[float]) -> list[dict[str, Any]]:
    return [
        {"question_id": question, "sample_index": index, "ratio": ratio, "score": score}
        for index, score in enumerate(scores)
    ]


def test_best_share_is_taken_per_question_and_ratio_and_never_empty() -> None:
    rows = _scored("q1", 1.0, [-3, -1, -2, -4]) + _scored("q1", 0.5, [-1, -9, -9, -9]) + _scored("q2", 1.0, [-7])
    assert best_share(rows, 0.25) == {("q1", 1, 1.0), ("q1", 0, 0.5), ("q2", 0, 1.0)}
    assert best_share(rows, 0.5) == {("q1", 1, 1.0), ("q1", 2, 1.0), ("q1", 0, 0.5), ("q1", 1, 0.5), ("q2", 0, 1.0)}


def _cot(index: int) -> dict[str, Any]:
    named = {"question_id": "q1", "sample_index": index, "question": QUESTION, "gold": GOLD}
    return named | {"reasoning": f"6 + 7 = 13 for the {index}", "verdict": "correct"}


def _compressed(index: int) -> dict[str, Any]:
    return {"question_id": "q1", "sample_index": index, "ratio": 0.5, "text": f"13 {index}", "achieved_ratio": 0.5}


def test_texts_to_score_hold_ratio_one_and_leave_out_what_was_not_compressed() -> None:
    texts = list(texts_to_score([_cot(0), _cot(1), _cot(2)], [_compressed(0), _compressed(2)]))
    assert [(row["sample_index"], row["ratio"]) for row in texts] == [(0, 1.0), (0, 0.5), (2, 1.0), (2, 0.5)]


def test_filter_drops_examples_at_ratio_one_too_and_the_table_shows_where(plain: ReadableModel) -> None:
    accounting: Counter[str] = Counter()
    outcomes: Counter[tuple[float, str, str]] = Counter()
    config = PrepareConfig(ratios=(1.0, 0.5), policy=RatioPolicy.ALL_RATIOS, validation_share=0)
    good = best_share(_scored("q1", 1.0, [-1, -2, -3, -4]) + _scored("q1", 0.5, [-9, -2, -3, -1]), 0.5)
    samples, compressed = [_cot(index) for index in range(4)], [_compressed(index) for index in range(4)]
    rows = list(tokenskip_examples(samples, compressed, plain, config, accounting, outcomes, good))
    assert [(row["sample_index"], row["ratio"]) for row in rows] == [(0, 1.0), (1, 1.0), (1, 0.5), (3, 0.5)]
    assert ratio_table(outcomes) == [
        {"ratio": 1.0, "split": "train", "kept": 2, "low_quality": 2},
        {"ratio": 0.5, "split": "train", "kept": 2, "low_quality": 2},
    ]
    assert accounting == {"kept": 4, "low_quality": 4, "missing_ratio": 0}


def test_quality_report_has_a_row_a_ratio_with_quartiles() -> None:
    first, second = quality_report({0.5: [-1.0], 1.0: [-4.0, -2.0, -3.0, -1.0, -5.0]})
    assert (first["ratio"], first["texts"], first["mean"]) == (1.0, 5, -3.0)
    assert second["ratio"] == 0.5
    assert sorted(first.values())[:3] == [-4.0, -3.0, -3.0]
