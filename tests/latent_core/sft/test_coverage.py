"""Counting the tokens of a corpus' reasoning, and what a set of latents covers of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from latent_core.dual import build_dual
from latent_core.errors import InputError
from latent_core.prompts import render_reasoning
from latent_core.sft.coverage import Coverage, count_reasoning_tokens, coverage_of, seen_at_least
from tests.latent_core.dual.conftest import MakeBase

TEXTS = ["7 + 12 = 19", "so x is 19.", "so x is 7."]


def test_counts_are_those_of_the_texts_as_targets_write_them(make_base: MakeBase) -> None:
    tokenizer = AutoTokenizer.from_pretrained(make_base())
    counts = count_reasoning_tokens(iter(TEXTS), tokenizer)
    ids = [token for text in TEXTS for token in tokenizer.encode(render_reasoning(text))]
    assert np.array_equal(counts, np.bincount(ids, minlength=len(tokenizer)))


def test_subset_of_seen_tokens_covers_the_corpus_it_was_counted_on(make_base: MakeBase, tmp_path: Path) -> None:
    base = make_base()
    counts = count_reasoning_tokens(TEXTS, AutoTokenizer.from_pretrained(base))
    vocabulary = build_dual(base, tmp_path / "all", mode="subset", subset_ids=seen_at_least(counts, 1)).vocabulary
    assert vocabulary.latent_size == np.count_nonzero(counts)
    assert coverage_of(counts, vocabulary).share == 1.0

    often = seen_at_least(counts, 3)
    vocabulary = build_dual(base, tmp_path / "often", mode="subset", subset_ids=often).vocabulary
    expected = Coverage(
        int(counts.sum()), int(counts[often].sum()), int(np.count_nonzero(counts)), int(np.sum(counts >= 3))
    )
    assert coverage_of(counts, vocabulary) == expected
    assert 0 < expected.share < 1


def test_seen_too_rarely_names_the_field() -> None:
    with pytest.raises(InputError, match=r"dual\.seen_at_least"):
        seen_at_least(np.asarray([0, 2, 1]), 3)


def test_coverage_of_no_text_is_zero(make_base: MakeBase, tmp_path: Path) -> None:
    base = make_base()
    counts = count_reasoning_tokens([], AutoTokenizer.from_pretrained(base))
    coverage = coverage_of(counts, build_dual(base, tmp_path / "dual").vocabulary)
    assert coverage == replace(coverage, tokens=0, covered=0)
    assert coverage.share == 0.0
