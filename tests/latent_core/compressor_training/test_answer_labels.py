"""Labels by what a word's absence does to the answer's probability."""

from __future__ import annotations

import numpy as np
import pytest

from latent_core.compress.conversation import PLAIN_TEXT, Conversation, own_conversation
from latent_core.compress.solutions import Solutions
from latent_core.compress.spans import split_units
from latent_core.compressor_training.answer_labels import (
    Reader,
    answer_ablation_labels,
    answer_aware_labels,
    answer_drops,
    answer_effects,
    random_halves,
    without_each_unit,
)
from latent_core.config.label_words import LabelKind, LabelReading, LabelWordsConfig
from latent_core.errors import InputError
from latent_core.identity import fingerprint
from latent_core.models.source import open_model

SOLUTIONS = Solutions(["12 + 30 = 42", "the total is 42 apples"], ["sum?", "how many?"], ["42", "30"])
TWICE = "Finn has 3 times 13 beads, so we multiply. 13 * 3 = 39. This means that Finn now has 39 beads."


def _log_probability(folder, text, answer):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    before, after = tokenizer(text)["input_ids"], tokenizer(answer)["input_ids"]
    with torch.inference_mode():
        logs = torch.log_softmax(model(torch.tensor([before + after])).logits[0].float(), -1)
    return sum(logs[len(before) - 1 + place, token].item() for place, token in enumerate(after))


def test_answer_drops_equal_unbatched_differences(causal_lm):
    spoken = Conversation(lambda question: f"{question}\n", lambda gold: ("\nis", f" {gold}"))
    drops = answer_drops(SOLUTIONS, Reader(causal_lm, spoken))
    # A line break or a space opens a new word for this tokenizer, so the parts tokenize alike alone and together.
    for text, question, gold, own in zip(*SOLUTIONS, drops, strict=True):
        whole = _log_probability(causal_lm, f"{question}\n{text}\nis", f" {gold}")
        variants = without_each_unit(text)
        expected = [whole - _log_probability(causal_lm, f"{question}\n{less}\nis", f" {gold}") for less in variants]
        np.testing.assert_allclose(own, expected, atol=1e-4)


def test_answer_aware_labels_mark_the_upper_half(causal_lm):
    drops = answer_drops(SOLUTIONS, Reader(causal_lm, batch_tokens=64))
    for row, own in zip(answer_aware_labels(SOLUTIONS, Reader(causal_lm)), drops, strict=True):
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
        answer_drops(Solutions(texts, questions, golds), Reader(causal_lm))


def test_answer_effects_find_the_result_that_is_stated_twice():
    folder = open_model("latent-mini").directory
    reader = Reader(folder, own_conversation(folder))
    solution = Solutions([TWICE], ["Finn has 13 beads. They become 3 times as many. How many are there?"], ["39"])
    effects, drops = answer_effects(solution, reader, 64)[0], answer_drops(solution, reader)[0]
    words = [TWICE[start:end] for start, end in split_units(TWICE).tolist()]
    most = np.argsort(-effects)
    assert words[most[0]] == "39" and effects[most[0]] > 1
    assert np.abs(drops).max() < effects[most[0]] / 10  # one at a time, the other mention hides it
    label = answer_ablation_labels(solution, reader, 64)[0].labels
    assert all(label[place] for place, word in enumerate(words) if word == "39")


def test_answer_effects_are_the_difference_of_means_with_and_without(causal_lm):
    reader = Reader(causal_lm)
    text, question, gold = "the total is 42 apples", "how many?", "42"
    spans = [tuple(span) for span in split_units(text).tolist()]
    kept = random_halves(text, len(spans), 8, 42)
    variants = [" ".join(text.split()[unit] for unit in np.flatnonzero(row)) for row in kept]
    logs = reader.log_probabilities(question, gold, variants)
    expected = [logs[kept[:, unit]].mean() - logs[~kept[:, unit]].mean() for unit in range(len(spans))]
    np.testing.assert_allclose(answer_effects(Solutions([text], [question], [gold]), reader, 8)[0], expected)


def test_random_halves_keep_every_unit_in_half_of_the_rows_and_follow_from_the_text():
    rows = random_halves("a b c", 3, 10, 1)
    assert rows.shape == (10, 3) and (rows.sum(axis=0) == 5).all()
    assert (rows == random_halves("a b c", 3, 10, 1)).all()
    assert (rows != random_halves("a b d", 3, 10, 1)).any() and (rows != random_halves("a b c", 3, 10, 2)).any()


@pytest.mark.parametrize("ablations", [0, 7])
def test_answer_effects_need_an_even_number_of_ablations(causal_lm, ablations):
    with pytest.raises(InputError, match="ablations: must be an even number"):
        answer_effects(SOLUTIONS, Reader(causal_lm), ablations)


def test_answer_labels_of_text_without_words_are_empty(causal_lm):
    empty = Solutions(["", " "], ["sum?", "sum?"], ["1", "1"])
    for label in (answer_aware_labels, answer_ablation_labels):
        assert [row.labels.tolist() for row in label(empty, Reader(causal_lm))] == [[], []]


def test_own_conversation_asks_as_collection_does_and_ends_with_the_answer():
    prompt, cue = own_conversation(open_model("latent-mini").directory)
    assert prompt("How many?").endswith("How many?<|im_end|>\n<|im_start|>assistant\n<think>\n")
    assert cue("42") == ("\n\n</think>\n\nThe final answer is: $\\boxed{", "42}$")
    assert PLAIN_TEXT.cue("{4}") == ("\n\nThe final answer is: $\\boxed{", "{4}}$")


def test_label_kind_and_reading_enter_the_identity_unless_they_are_the_first_ones():
    old = {"questions": 400, "held_out": 60}
    prints = [fingerprint("label_words", 1, config, {}) for config in (LabelWordsConfig(), old)]
    assert prints[0] == prints[1]
    others = [LabelWordsConfig(kind=kind) for kind in (LabelKind.ANSWER_AWARE, LabelKind.ANSWER_ABLATION)]
    others.append(LabelWordsConfig(reading=LabelReading.CONVERSATION))
    assert len({*prints, *(fingerprint("label_words", 1, other, {}) for other in others)}) == 4
