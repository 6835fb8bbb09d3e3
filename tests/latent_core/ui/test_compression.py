"""The cache: one encoder pass a text, whatever ratios follow, and the numbers that `latent compress` gives."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from latent_core.compress import ScoringOptions, SelectionOptions, open_compressor
from latent_core.config.compress import RatioOf
from latent_core.errors import InputError
from latent_core.ui.compression import MAX_CHARACTERS, CompressionCache
from latent_core.ui.presets import PRESETS

TEXT = "so 4 and 4 make 8, and 8 and 8 make 16"
RATIOS = [step / 20 for step in range(1, 21)]


def test_compression_slider_over_all_ratios_reads_the_text_once(cache, compressor):
    views = [cache.view(TEXT, ratio) for ratio in RATIOS]
    cache.views(TEXT, RATIOS, SelectionOptions(keep_numbers=True))
    assert compressor.texts == [TEXT] and cache.passes == 1
    kept = [view.compressed.encoder_tokens_after for view in views]
    assert kept == sorted(kept) and len(set(kept)) > 5


def test_compression_slider_over_all_ratios_runs_the_packaged_encoder_once():
    """The model's own forward passes are counted, not the cache's word for them."""
    compressor = open_compressor("latent-compressor", ScoringOptions(spans=True))
    forwards = []
    compressor._encoder.model.register_forward_hook(lambda *_: forwards.append(1))
    cache = CompressionCache(compressor, len)
    first = cache.view(PRESETS[0].reasoning, 0.5)
    assert len(forwards) == 1
    cache.views(PRESETS[0].reasoning, RATIOS)
    assert len(forwards) == 1
    assert first.compressed.text == compressor.compress([PRESETS[0].reasoning], [0.5])[0][0.5].text
    assert len(forwards) == 2


def test_compression_of_many_sessions_with_one_new_text_reads_it_once(cache, compressor):
    with ThreadPoolExecutor(20) as pool:
        views = list(pool.map(lambda ratio: cache.view(TEXT, ratio), RATIOS))
    assert compressor.texts == [TEXT]
    assert [view.compressed for view in views] == [cache.view(TEXT, ratio).compressed for ratio in RATIOS]


def test_compression_forgets_the_text_that_was_longest_unused(compressor):
    cache = CompressionCache(compressor, len, capacity=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        cache.view(text, 0.5)
    assert compressor.texts == ["a", "b", "c", "b"]


def test_view_counts_source_and_result_in_target_tokens(cache):
    view = cache.view(TEXT, 0.5)
    assert view.compressed.target_tokens_before == len(TEXT.split())
    assert view.target_share == len(view.compressed.text.split()) / len(TEXT.split())
    shown = sum(word.tokens for word in view.alignment.words if word.kept)
    assert view.encoder_share == shown / sum(word.tokens for word in view.alignment.words)


def test_view_of_target_tokens_comes_within_a_word_of_the_request(cache):
    view = cache.view(TEXT, 0.5, SelectionOptions(ratio_of=RatioOf.TARGET_TOKENS))
    assert abs(view.target_share - 0.5) <= 1 / len(TEXT.split())


@pytest.mark.parametrize(
    ("text", "message"), [(" \n", "empty"), ("x" * (MAX_CHARACTERS + 1), "20,001 characters; .* at most 20,000")]
)
def test_compression_refuses_empty_and_too_long_texts_without_reading_them(cache, compressor, text, message):
    with pytest.raises(InputError, match=message):
        cache.view(text, 0.5)
    assert compressor.texts == []
