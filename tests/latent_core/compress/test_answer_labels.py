"""Labels by what a word's absence does to the answer's probability."""

from __future__ import annotations

import numpy as np
import pytest

from latent_core.compress.answer_labels import answer_aware_labels, answer_drops, without_each_unit
from latent_core.config.compressor import LabelKind, LabelWordsConfig
from latent_core.errors import InputError
from latent_core.identity import fingerprint

TEXTS = ["12 + 30 = 42", "the total is 42 apples"]
QUESTIONS = ["sum?", "how many?"]
GOLDS = ["42", "30"]


def _log_probability(folder, text, answer):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    before, after = tokenizer(text)["input_ids"], tokenizer(answer)["input_ids"]
    with torch.inference_mode():
        logs = torch.log_softmax(model(torch.tensor([before + after])).logits[0].float(), -1)
    return sum(logs[len(before) - 1 + place, token].item() for place, token in enumerate(after))


def test_answer_drops_equal_unbatched_differences(causal_lm):
    def cue(gold):
        return "\nis", f" {gold}"

    drops = answer_drops(TEXTS, QUESTIONS, GOLDS, causal_lm, cue=cue)
    # A line break or a space opens a new word for this tokenizer, so the parts tokenize alike alone and together.
    for text, question, gold, own in zip(TEXTS, QUESTIONS, GOLDS, drops, strict=True):
        whole = _log_probability(causal_lm, f"{question}\n{text}\nis", f" {gold}")
        variants = without_each_unit(text)
        expected = [whole - _log_probability(causal_lm, f"{question}\n{less}\nis", f" {gold}") for less in variants]
        np.testing.assert_allclose(own, expected, atol=1e-4)


def test_answer_aware_labels_mark_the_upper_half(causal_lm):
    drops = answer_drops(TEXTS, QUESTIONS, GOLDS, causal_lm, batch_tokens=64)
    for row, own in zip(answer_aware_labels(TEXTS, QUESTIONS, GOLDS, causal_lm), drops, strict=True):
        assert row.labels.sum() == len(own) // 2 > 0
        assert own[row.labels == 1].min() > own[row.labels == 0].max()


def test_without_each_unit_leaves_one_out_and_nothing_else():
    assert without_each_unit("12 + 3.5\n= x") == [
        "+ 3.5\n= x",
        "12 3.5\n= x",
        "12 +\n= x",
        "12 + 3.5\nx",
        "12 + 3.5\n=",
    ]
    assert without_each_unit("") == []


@pytest.mark.parametrize(
    ("texts", "questions", "golds", "message"),
    [
        (["a"], ["b"], [], "1 questions and 0 answers for 1 texts"),
        (["a"], ["b"], [" "], "needs a prompt with at least one token, and an answer"),
        (["a " * 100], ["b"], ["1"], "more than the LM's 128"),
    ],
)
def test_answer_drops_refuse_what_cannot_be_measured(causal_lm, texts, questions, golds, message):
    with pytest.raises(InputError, match=message):
        answer_drops(texts, questions, golds, causal_lm)


def test_label_kind_enters_the_identity_unless_it_is_the_first_one():
    old = {"questions": 400, "held_out": 60}
    prints = [fingerprint("label_words", 1, config, {}) for config in (LabelWordsConfig(), old)]
    assert prints[0] == prints[1]
    other = LabelWordsConfig(kind=LabelKind.ANSWER_AWARE)
    assert fingerprint("label_words", 1, other, {}) != prints[0]
