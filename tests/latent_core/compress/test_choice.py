"""Baselines behind the compressor's interface, and the names by which a parameter selects them."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from latent_core.compress import (
    LmSurprisalCompressor,
    MultiRatioCompressor,
    RandomCompressor,
    ScoringOptions,
    TruncateCompressor,
    compressor_fingerprint,
    open_compressor,
)
from latent_core.compress.causal import windows
from latent_core.compressor_training.labels import word_surprisals
from latent_core.errors import InputError
from latent_core.models.source import open_model
from tasks.inputs import CompressorInput

TEXT = "the total is 12 + 30 = 42 apples"


@pytest.fixture(scope="module")
def surprisal(causal_lm):
    return LmSurprisalCompressor(causal_lm)


def test_lm_surprisal_equals_the_surprisal_after_its_start_token(causal_lm, surprisal):
    start = surprisal._scorer.tokenizer.decode([surprisal._start])
    expected = word_surprisals([TEXT], [""], causal_lm, prompt=lambda _: start)[0]
    np.testing.assert_allclose(surprisal.surprisals([TEXT])[0], expected, rtol=1e-5)


def test_lm_surprisal_keeps_the_least_expected_units(surprisal):
    bits = surprisal.surprisals([TEXT])[0]
    kept = surprisal.compress([TEXT], [0.3])[0][0.3]
    assert 1 <= kept.encoder_tokens_after <= 3
    words = [TEXT.split()[unit] for unit in sorted(np.argsort(-bits)[: kept.encoder_tokens_after])]
    assert kept.text.split() == words


def test_lm_surprisal_of_a_batch_equals_that_of_each_text(surprisal):
    texts = [TEXT, "", "12 " * 30, "...", "\\frac{1}{2} 答案"]
    for text, together in zip(texts, surprisal.surprisals(texts), strict=True):
        np.testing.assert_allclose(surprisal.surprisals([text])[0], together, rtol=1e-4)


def test_lm_surprisal_reads_a_text_longer_than_the_context(surprisal):
    scored = surprisal.score_words(["apples are 42 " * 100])[0]
    assert len(scored.chunks[0].words) == 300
    assert scored.chunks[0].keep_probability.min() > 0


@pytest.mark.parametrize("tokens", [0, 1, 127, 128, 500])
def test_windows_bring_every_token_once_after_half_a_window(tokens):
    cut = windows(tokens, 127)
    assert [place for _, new, stop in cut for place in range(new, stop)] == list(range(tokens))
    assert all(stop - first <= 127 for first, _, stop in cut)
    assert all(new - first == 63 for first, new, _ in cut[1:])


def test_open_compressor_opens_each_kind(causal_lm):
    assert isinstance(open_compressor(f"lm_surprisal:{causal_lm}"), LmSurprisalCompressor)
    assert isinstance(open_compressor("random"), RandomCompressor)
    assert isinstance(open_compressor("truncate"), TruncateCompressor)
    assert isinstance(open_compressor("latent-compressor"), MultiRatioCompressor)
    text = " ".join(map(str, range(30)))
    seven, eight = (open_compressor(spec).compress([text], [0.5])[0][0.5].text for spec in ("random:7", "random:8"))
    assert seven == RandomCompressor(7).compress([text], [0.5])[0][0.5].text != eight


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("random:x", "seed of random must be a whole number"),
        ("truncate:1", "takes no argument"),
        ("lm_surprisal", "lm_surprisal needs a causal language model"),
        ("lm_surprisal:nowhere", "nowhere"),
        ("randon", "randon"),
    ],
)
def test_wrong_name_of_a_compressor_is_refused(spec, message):
    for opens in (open_compressor, compressor_fingerprint):
        with pytest.raises(InputError, match=message):
            opens(spec)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("nowhere", "is neither a directory"),
        ("owner/name", "is not in the local hub cache"),
        ("lm_surprisal:nowhere", "is neither a directory"),
        ("random:x", "must be a whole number"),
        ("latent-mini", "is not a token classifier"),
    ],
)
def test_wrong_compressor_is_named_by_the_parameter_that_it_stands_in(spec, why):
    with pytest.raises(InputError, match=rf"^--model: .*{why}"):
        open_compressor(spec, field="--model")
    with pytest.raises(InputError, match=rf"^compress\.model: .*{why}"):
        CompressorInput.find(spec)


def test_force_options_on_a_baseline_are_refused():
    with pytest.raises(InputError, match="force_reserve_digit need a token classifier"):
        open_compressor("random", ScoringOptions(force_reserve_digit=True))


def test_compressor_fingerprint_is_the_models_or_tells_settings_apart(causal_lm, tmp_path):
    assert compressor_fingerprint("latent-compressor") == open_model("latent-compressor").fingerprint
    assert compressor_fingerprint("random") == compressor_fingerprint("random:42")
    copy = tmp_path / "copy"
    shutil.copytree(causal_lm, copy)
    (copy / "extra.json").write_text("{}")
    specs = ["random:1", "random:2", "truncate", f"lm_surprisal:{causal_lm}", f"lm_surprisal:{copy}", str(causal_lm)]
    assert len({compressor_fingerprint(spec) for spec in specs}) == len(specs)
