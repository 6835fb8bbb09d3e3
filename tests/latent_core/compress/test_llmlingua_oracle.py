"""llmlingua 0.2.2 itself is the oracle: our strings must equal its strings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from latent_core.compress import MultiRatioCompressor, ScoringOptions, SelectionOptions, TokenToWord

RATIOS = (0.1, 0.3, 0.5, 0.7)
FORCE = ("Step", ":", "doesn't", "\n", "=")  # one token, and several that the tokenizers split
ODD_TEXTS = (
    "...!?",
    "word",
    "[PAD] and [CLS] stand <pad> in <s> the text",
    "#### 42",
    "a ## b ##c",
    "▁x ▁ y",
    "no sentence end " * 400,
    "1 " * 509 + ". end",
    "99.3% of 1,000,000 = 993,000.",
)


def _count(word: str) -> int:
    """Stands for cl100k, which cannot be had offline; any function of the word shows the weighting."""
    return 1 + len(word) // 4


@pytest.fixture
def llmlingua_for(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Any]:
    from llmlingua import prompt_compressor

    fake = SimpleNamespace(encode=lambda text: [0] * _count(text))
    monkeypatch.setattr(prompt_compressor.tiktoken, "encoding_for_model", lambda _: fake)
    return lambda folder: prompt_compressor.PromptCompressor(str(folder), device_map="cpu", use_llmlingua2=True)


def _texts(make_math_text: Callable[[int, int], str], number: int) -> list[str]:
    return [make_math_text(1000 + seed, 60 if seed % 10 == 0 else 1 + seed % 12) for seed in range(number)]


def _first_mismatch(
    reference: Any, ours: MultiRatioCompressor, texts: list[str], flags: dict[str, Any], drop: tuple[str, ...] = ()
) -> tuple[float, str, str] | None:
    results = ours.compress(texts, RATIOS, SelectionOptions(drop_consecutive=drop))
    for text, by_ratio in zip(texts, results, strict=True):
        for ratio in RATIOS:
            expected = reference.compress_prompt(text, rate=ratio, **flags)["compressed_prompt"]
            if by_ratio[ratio].text != expected:
                return ratio, expected, by_ratio[ratio].text
    return None


@pytest.mark.parametrize("family", ["wordpiece", "uncased", "metaspace"])
def test_compress_plain_options_equals_llmlingua(classifiers, llmlingua_for, make_math_text, family):
    folder = classifiers.of(family)
    texts = [*_texts(make_math_text, 30 if family == "uncased" else 100), *ODD_TEXTS]
    ours = MultiRatioCompressor(folder, word_length=_count)
    assert _first_mismatch(llmlingua_for(folder), ours, texts, {}) is None


@pytest.mark.parametrize("family", ["wordpiece", "metaspace"])
def test_compress_force_tokens_digits_and_no_repeats_equals_llmlingua(
    classifiers, llmlingua_for, make_math_text, family
):
    folder = classifiers.of(family)
    flags = {"force_tokens": list(FORCE), "force_reserve_digit": True, "drop_consecutive": True}
    ours = MultiRatioCompressor(
        folder, ScoringOptions(force_tokens=FORCE, force_reserve_digit=True), word_length=_count
    )
    assert _first_mismatch(llmlingua_for(folder), ours, _texts(make_math_text, 100), flags, FORCE) is None


@pytest.mark.parametrize("family", ["wordpiece", "metaspace"])
@pytest.mark.parametrize(
    "flags",
    [
        {"force_reserve_digit": True},
        {"token_to_word": "first"},
        {"force_tokens": ["Step", "."], "drop_consecutive": True},
        {"chunk_end_tokens": [","]},
    ],
)
def test_compress_single_flags_equal_llmlingua(classifiers, llmlingua_for, make_math_text, family, flags):
    folder = classifiers.of(family)
    forced = tuple(flags.get("force_tokens", ()))
    options = ScoringOptions(
        force_tokens=forced,
        force_reserve_digit=flags.get("force_reserve_digit", False),
        token_to_word=TokenToWord(flags.get("token_to_word", "mean")),
        chunk_end_tokens=tuple(flags.get("chunk_end_tokens", (".", "\n"))),
    )
    ours = MultiRatioCompressor(folder, options, word_length=_count)
    drop = forced if flags.get("drop_consecutive") else ()
    assert _first_mismatch(llmlingua_for(folder), ours, _texts(make_math_text, 8), flags, drop) is None


def test_compress_exact_and_batched_agree(classifiers, make_math_text):
    texts = _texts(make_math_text, 15)
    batched = MultiRatioCompressor(classifiers.metaspace).compress(texts, RATIOS)
    exact = MultiRatioCompressor(classifiers.metaspace, ScoringOptions(exact=True)).compress(texts, RATIOS)
    assert batched == exact


def test_exact_equals_llmlingua_where_float_noise_decides(indifferent_classifier, llmlingua_for, make_math_text):
    text = make_math_text(21, 5)
    exact = MultiRatioCompressor(indifferent_classifier, ScoringOptions(exact=True), word_length=_count)
    assert np.ptp(exact.score_words([text])[0].chunks[0].keep_probability) < 1e-4  # what another batch shape may add
    assert _first_mismatch(llmlingua_for(indifferent_classifier), exact, [text], {}) is None


def test_special_tokens_of_its_own_change_what_an_xlmr_keeps(classifiers, make_math_text):
    texts = _texts(make_math_text, 20)
    paper = MultiRatioCompressor(classifiers.metaspace).compress(texts, [0.5])
    own = MultiRatioCompressor(classifiers.metaspace, ScoringOptions(compat_special_tokens=False)).compress(
        texts, [0.5]
    )
    assert paper != own
    bert = MultiRatioCompressor(classifiers.wordpiece).compress(texts, [0.5])
    same = MultiRatioCompressor(classifiers.wordpiece, ScoringOptions(compat_special_tokens=False))
    assert same.compress(texts, [0.5]) == bert
