"""Why rates differ: every number of the explanation follows from the text, checked against plain arithmetic."""

from __future__ import annotations

import re

import numpy as np
import pytest

from latent_core.ui import rates
from latent_core.ui.compression import MAX_CHARACTERS
from latent_core.ui.explanations import explain, lengthened
from latent_core.ui.presets import PRESETS

TEXT = PRESETS[0].reasoning


def test_threshold_is_the_percentile_that_separates_kept_from_dropped(cache):
    scored = cache.scored(TEXT)
    chunk = scored.chunks[0]
    for found in rates.thresholds(scored, (0.7, 0.3)):
        weighted = np.repeat(chunk.keep_probability, chunk.lengths)
        assert found.value == pytest.approx(np.percentile(weighted, found.percentile))
        above = chunk.keep_probability > found.value
        assert found.kept_share == chunk.lengths[above].sum() / chunk.lengths.sum()
        assert found.on_threshold == tuple(np.asarray(chunk.words)[chunk.keep_probability == found.value])
    assert [found.percentile for found in rates.thresholds(scored, (0.7, 0.3))] == [31, 71]


def test_windows_of_a_long_text_each_give_up_the_same_share(packaged_cache):
    long = packaged_cache.scored(lengthened(packaged_cache, TEXT))
    found = rates.windows(long, 0.5)
    assert len(found) == len(long.chunks) == 2
    assert sum(window.tokens for window in found) == long.tokens
    assert all(abs(window.kept_share - 0.5) < 0.03 for window in found)
    # One threshold would take from the wordy window and give to the terse one.
    assert found[0].share_of_one_threshold < found[0].kept_share
    assert found[1].share_of_one_threshold > found[1].kept_share + 0.05
    assert found[0].other_words and found[1].other_words


def test_mismatch_counts_the_same_words_with_both_tokenizers(cache):
    found = rates.mismatch(cache, cache.scored("aa bbbb c dddddd"), 0.5)
    assert {item.word: (item.encoder, item.target) for item in found.words} == {
        "aa": (2, 1), "bbbb": (4, 1), "dddddd": (6, 1)
    }  # fmt: skip
    kept = [word for word in found.view.alignment.words if word.kept]
    assert found.kept_per_encoder_token == len(kept) / sum(word.tokens for word in kept)


def test_bias_of_the_plain_rule_is_downwards_and_numbers_set_a_floor(packaged_cache):
    scored = packaged_cache.scored(TEXT)
    found = rates.bias(packaged_cache, scored)
    assert all(item.encoder < 0 for item in found.deviations)
    last = found.deviations[-1]
    assert last.ratio == 0.1 and last.numbers_kept > 0.05
    assert last.ratio + last.numbers_kept >= found.floor > 0.1


def test_explanation_is_computed_from_its_text(cache):
    other = "x = 3. " * 30 + "Nothing else is said here at all."
    one, two = (re.sub(r"<[^>]*>", " ", explain(cache, text, 0.4, "m")) for text in (TEXT, other))
    for title in ("1 · A threshold", "2 · Every window", "3 · Two tokenizers", "4 · The errors"):
        assert title in one and title in two
    figures = [re.findall(r"[+-]?\d\.\d{3}", text) for text in (one, two)]
    assert len(figures[0]) > 30 and figures[0] != figures[1]


@pytest.mark.parametrize("text", ["x", "word " * (MAX_CHARACTERS // 5), "\\", "…", "4"])
def test_explanation_of_an_odd_text_is_given_all_the_same(packaged_cache, text):
    assert "4 · The errors" in explain(packaged_cache, text, 0.05, "m")
    assert "nothing to explain" in explain(packaged_cache, text, 1.0, "m")
