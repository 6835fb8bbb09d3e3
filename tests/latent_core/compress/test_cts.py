"""Conditional token selection: what knowing the answer adds to a unit's log-probability."""

from __future__ import annotations

import numpy as np
import pytest

from latent_core.compress import CtsCompressor, Solutions, compressor_fingerprint, open_compressor
from latent_core.compress.causal import CausalScorer
from latent_core.compress.conversation import own_conversation
from latent_core.compress.spans import split_units
from latent_core.compressor_training.labels import word_surprisals
from latent_core.errors import InputError
from latent_core.models.source import open_model
from tasks.inputs import CompressorInput

QUESTION, TEXT, GOLD = "Finn has 13 beads and loses 9. How many?", "He keeps 13 - 9 = 4 beads.", "4"
MINI = open_model("latent-mini").directory


def test_cts_is_the_log_probability_with_the_answer_in_the_prompt_less_that_without() -> None:
    prompt = own_conversation(MINI).prompt
    known = prompt(f"{QUESTION}\nThe final answer is: $\\boxed{{{GOLD}}}$")
    bits = [
        word_surprisals([TEXT], ["q"], MINI, prompt=lambda _, text=text: text)[0] for text in (prompt(QUESTION), known)
    ]
    (nats,) = CtsCompressor(MINI).scores(Solutions([TEXT], [QUESTION], [GOLD]))
    np.testing.assert_allclose(nats, (bits[0] - bits[1]) * np.log(2), atol=1e-4)
    assert np.ptp(nats) > 0.01


def test_causal_scorer_is_in_float32_on_a_gpu_too(causal_lm, monkeypatch) -> None:
    import torch
    from transformers import PreTrainedModel

    monkeypatch.setattr(PreTrainedModel, "to", lambda model, *_: model)  # there is no GPU to go to
    assert CausalScorer(causal_lm, "cuda")._model.dtype is torch.float32


def test_cts_keeps_the_units_that_the_answer_makes_likelier() -> None:
    compressor = open_compressor("cts:latent-mini")
    solutions = Solutions([TEXT], [QUESTION], [GOLD])
    (scored,), (nats,) = compressor.score_solutions(solutions), compressor.scores(solutions)
    (chunk,) = scored.chunks
    np.testing.assert_allclose(chunk.keep_probability, 1 / (1 + np.exp(-nats)), rtol=1e-4)
    assert chunk.spans.tolist() == split_units(TEXT).tolist()
    assert np.argsort(chunk.keep_probability).tolist() == np.argsort(nats).tolist()


def test_cts_of_a_model_without_a_chat_template_reads_plain_text(causal_lm) -> None:
    short = Solutions(["4 = 2 + 2"], ["2 + 2?"], ["4"])
    bits = [
        word_surprisals(short.texts, ["q"], causal_lm, prompt=lambda _, text=text: text)[0]
        for text in ("2 + 2?\n", "2 + 2?\nThe final answer is: $\\boxed{4}$\n")
    ]
    (nats,) = CtsCompressor(causal_lm).scores(short)
    np.testing.assert_allclose(nats, (bits[0] - bits[1]) * np.log(2), atol=1e-4)


def test_cts_of_a_batch_and_of_a_text_beyond_the_context(causal_lm, monkeypatch) -> None:
    compressor = CtsCompressor(causal_lm)
    read, lengths = compressor._scorer.log_probabilities, []

    def watched(rows, batch_tokens):
        lengths.extend(map(len, rows))
        return read(rows, batch_tokens)

    monkeypatch.setattr(compressor._scorer, "log_probabilities", watched)
    texts = ["apples are 42 " * 100, "12 + 30", ""]
    together = compressor.scores(Solutions(texts, ["sum?"] * 3, ["42"] * 3))
    assert [len(nats) for nats in together] == [300, 3, 0]
    assert max(lengths) == 128  # its context
    for text, nats in zip(texts, together, strict=True):
        np.testing.assert_allclose(compressor.scores(Solutions([text], ["sum?"], ["42"]))[0], nats, atol=1e-3)
    with pytest.raises(InputError, match=r"^texts: \d+ tokens stand before text 0 and the LM reads 128"):
        compressor.scores(Solutions(["12"], ["sum " * 200], ["42"]))


@pytest.mark.parametrize("kind", ["cts", "lm_surprisal"])
def test_model_that_is_not_causal_is_refused_before_it_is_loaded(kind: str) -> None:
    with pytest.raises(InputError, match=r"^compress\.model: .*is no causal language model .*TokenClassification"):
        CompressorInput.find(f"{kind}:latent-compressor")
    with pytest.raises(InputError, match=rf"^compress\.model: {kind} needs a causal language model"):
        CompressorInput.find(kind)


def test_cts_refuses_what_it_cannot_score() -> None:
    compressor = CtsCompressor(MINI)
    with pytest.raises(InputError, match="by its question and answer"):
        compressor.score_words([TEXT])
    with pytest.raises(InputError, match=r"gold: the answer to .* is empty"):
        compressor.scores(Solutions([TEXT], [QUESTION], [" "]))
    with pytest.raises(InputError, match="2 questions and 1 answers for 1 texts"):
        compressor.scores(Solutions([TEXT], [QUESTION, ""], [GOLD]))


def test_cts_has_another_identity_than_surprisal_under_the_same_model() -> None:
    assert compressor_fingerprint("cts:latent-mini") != compressor_fingerprint("lm_surprisal:latent-mini")
