"""Labels from a language model, training on them, and the measures of agreement."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from latent_core.compress import MultiRatioCompressor
from latent_core.compress.spans import split_units
from latent_core.compressor_training.agreement import agreement, auc
from latent_core.compressor_training.labels import LabelledText, surprisal_labels, word_surprisals
from latent_core.compressor_training.training import TrainingSettings, train_token_classifier, train_tokenizer
from latent_core.errors import InputError

TOY = TrainingSettings(
    vocabulary=400,
    layers=1,
    hidden=32,
    heads=2,
    feed_forward=64,
    dropout=0.0,
    epochs=12,
    batch_size=8,
    learning_rate=1e-2,
)


def _contextual_row(seed: int) -> LabelledText:
    """A text whose first word says whether its words or its numbers stay: no word alone tells its label."""
    rng = random.Random(seed)
    keeps_numbers = rng.random() < 0.5
    tail = [rng.choice("apples pears cost gives half then 1,000 99.3 42 7".split()) for _ in range(12)]
    text = " ".join(["Count" if keeps_numbers else "Tell", str(seed), *tail])
    spans = split_units(text)
    labels = [int(text[start].isdigit() == keeps_numbers) for start, _ in spans.tolist()]
    return LabelledText(text, spans, np.asarray(labels))


def test_train_token_classifier_learns_what_no_word_tells_and_loads(tmp_path):
    rows = [_contextual_row(seed) for seed in range(300)]
    report = train_token_classifier(rows[:250], tmp_path / "model", held_out=rows[250:], settings=TOY)
    assert report.model.auc > 0.8 > 0.65 > report.word_lookup.auc
    assert abs(report.random.auc - 0.5) < 0.1
    assert report.bytes == (tmp_path / "model" / "model.safetensors").stat().st_size < 2.2 * report.parameters
    scored = MultiRatioCompressor(tmp_path / "model").score_words(["It costs $99.3 or \\frac{1}{2}."])[0]
    assert scored.chunks[0].words == ("It", "costs", "$", "99.3", "or", "\\frac", "{", "1", "}", "{", "2", "}", ".")


def test_train_token_classifier_learns_words_that_no_space_divides(tmp_path):
    def row(seed: int) -> LabelledText:
        rng = random.Random(seed)
        words = [rng.choice(["ทอม", "มี", "ซื้อ", "อีก"]) for _ in range(12)]
        spans = split_units("".join(words))
        units = ["".join(words)[start:end] for start, end in spans.tolist()]
        return LabelledText("".join(words), spans, np.asarray([int(unit in ("ทอม", "ซื้อ")) for unit in units]))

    rows = [row(seed) for seed in range(80)]
    report = train_token_classifier(rows[:60], tmp_path, held_out=rows[60:], settings=TOY)
    assert report.model.auc > 0.95  # the whole text would be one unknown word


def test_train_token_classifier_continues_from_its_checkpoint(tmp_path):
    from dataclasses import replace

    rows = [_contextual_row(seed) for seed in range(20)]
    short = replace(TOY, epochs=1)
    train_token_classifier(rows[:16], tmp_path / "a", held_out=rows[16:], settings=short, checkpoints=tmp_path / "c")
    # Nothing is left to do, so another seed must change nothing: from the start it would give other weights.
    again = replace(short, seed=7)
    train_token_classifier(rows[:16], tmp_path / "b", held_out=rows[16:], settings=again, checkpoints=tmp_path / "c")
    first, second = ((tmp_path / name / "model.safetensors").read_bytes() for name in "ab")
    assert first == second


def test_train_token_classifier_takes_the_same_steps_whatever_devices_are_there(tmp_path, monkeypatch):
    from dataclasses import replace
    from functools import cached_property

    from transformers import TrainingArguments

    find = TrainingArguments.__dict__["_setup_devices"].func

    def find_two(arguments):
        device = find(arguments)
        arguments._n_gpu = 2
        return device

    two = cached_property(find_two)
    two.__set_name__(TrainingArguments, "_setup_devices")
    monkeypatch.setattr(TrainingArguments, "_setup_devices", two)
    rows = [_contextual_row(seed) for seed in range(36)]
    settings = replace(TOY, epochs=1)
    train_token_classifier(rows[:32], tmp_path / "a", held_out=rows[32:], settings=settings, checkpoints=tmp_path / "c")
    assert [path.name for path in (tmp_path / "c").glob("checkpoint-*")] == ["checkpoint-4"]


def test_train_token_classifier_over_the_size_limit_is_refused(tmp_path):
    rows = [_contextual_row(seed) for seed in range(2)]
    with pytest.raises(InputError, match="max_bytes"):
        train_token_classifier(rows[:1], tmp_path, held_out=rows[1:], settings=TrainingSettings(layers=8, hidden=512))


def test_train_token_classifier_held_out_text_seen_in_training_is_refused(tmp_path):
    rows = [_contextual_row(1)]
    with pytest.raises(InputError, match="held_out: 1 of its texts"):
        train_token_classifier(rows, tmp_path, held_out=rows)


def test_train_tokenizer_gives_each_digit_a_piece_and_each_unit_a_word(make_math_text):
    tokenizer = train_tokenizer([make_math_text(seed, 10) for seed in range(10)], 500)
    assert tokenizer.tokenize("1,234.5 \\q{78}~") == [
        "1", "##,", "##2", "##3", "##4", "##.", "##5", "\\", "##q", "{", "7", "##8", "}", "~",
    ]  # fmt: skip
    assert len(tokenizer) <= 500


def test_word_surprisals_equal_unbatched_log_probabilities(causal_lm):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    texts, questions = ["the total is 42 apples", "12 + 30 = 42", ""], ["how many apples?", "sum", "none"]
    batched = word_surprisals(texts, questions, causal_lm, batch_tokens=10_000)
    tokenizer, model = AutoTokenizer.from_pretrained(causal_lm), AutoModelForCausalLM.from_pretrained(causal_lm)
    for text, question, bits in zip(texts, questions, batched, strict=True):
        prompt, body = tokenizer(f"{question}\n")["input_ids"], tokenizer(text)["input_ids"]
        assert len(bits) == len(split_units(text))
        if body:
            with torch.inference_mode():
                logs = torch.log_softmax(model(torch.tensor([prompt + body])).logits[0].float(), -1)
            chosen = [logs[len(prompt) - 1 + place, token].item() for place, token in enumerate(body)]
            assert bits.sum() == pytest.approx(-sum(chosen) / math.log(2), rel=1e-4)


def test_surprisal_labels_mark_the_upper_half(causal_lm):
    texts = ["the total is 42 apples or 30", "12 + 30 = 42 is the total"]
    questions = ["how many?", "sum?"]
    labelled = surprisal_labels(texts, questions, causal_lm)
    for row, bits in zip(labelled, word_surprisals(texts, questions, causal_lm), strict=True):
        assert row.labels.sum() == len(bits) // 2
        assert bits[row.labels == 1].min() > bits[row.labels == 0].max()
        again = LabelledText.from_row(row.to_row())
        assert again.spans.tolist() == row.spans.tolist() and again.labels.tolist() == row.labels.tolist()


def test_word_surprisals_refuse_what_cannot_be_measured(causal_lm, tmp_path):
    with pytest.raises(InputError, match="questions: 0 questions for 1 texts"):
        word_surprisals(["a"], [], causal_lm)
    with pytest.raises(InputError, match="causal_lm_dir"):
        word_surprisals(["a"], ["b"], tmp_path)
    with pytest.raises(InputError, match="more than the LM's 128"):
        word_surprisals(["a " * 200], ["b"], causal_lm)
    with pytest.raises(InputError, match="has no tokens"):
        word_surprisals(["a"], ["b"], causal_lm, prompt=lambda _: "")


def test_auc_counts_ties_half_and_agreement_counts_hits():
    scores, labels = np.array([0.1, 0.4, 0.4, 0.8]), np.array([0, 0, 1, 1])
    assert auc(scores, labels) == pytest.approx(3.5 / 4)
    assert math.isnan(auc(scores, np.ones(4, int)))
    measured = agreement(scores, labels)
    assert (measured.accuracy, measured.f1) == (0.75, pytest.approx(2 / 3))
    assert agreement(np.zeros(2), np.zeros(2, int)).f1 == 0.0
