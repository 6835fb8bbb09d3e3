"""Alignment: the source is shown whole, and the occurrence of a word that was kept is the one shown as kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latent_core.compress import RandomCompressor, align, compressed_text, kept_words
from latent_core.compress.scored import ScoredChunk, ScoredText
from latent_core.compress.words import TokenFamily
from latent_core.errors import InputError

TEXT = "  so 4 and 4 make 8, and 4\nmore "


@given(st.text("ab 1.,\\{}\n'5", max_size=40), st.sampled_from([0.1, 0.4, 0.7, 1.0]), st.integers(0, 5))
def test_align_runs_joined_are_the_source_and_kept_runs_the_compression(text, ratio, seed):
    scored = RandomCompressor(seed).score_words([text])[0]
    kept = kept_words(scored, ratio)
    marked = list(align(scored, kept).runs())
    assert "".join(piece for piece, _ in marked) == text
    shown = "".join("".join(piece.split()) for piece, stays in marked if stays)
    assert shown == "".join(compressed_text(scored, ratio, kept).text.split())


def test_align_of_a_repeated_word_marks_the_occurrence_that_was_kept():
    """A comparison of the two texts could only find the first "and 4"."""
    scored = RandomCompressor(0).score_words([TEXT])[0]
    masks = [np.asarray([False, False, False, False, False, False, True, True, False])]
    alignment = align(scored, masks)
    assert [word.word for word in alignment.words] == TEXT.split()
    assert list(alignment.runs()) == [("  so 4 and 4 make 8,", False), (" and 4", True), ("\nmore", False), (" ", True)]


def test_align_of_encoder_words_without_places_is_refused():
    chunk = ScoredChunk(("a",), np.ones(1, np.float32), np.ones(1, np.int64))
    with pytest.raises(InputError, match="spans=True"):
        align(ScoredText("a", (chunk,), TokenFamily.WORDPIECE), [np.ones(1, np.bool_)])
