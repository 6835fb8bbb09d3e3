"""Markup: the page shows exactly the text it was given, as text."""

from __future__ import annotations

import re
from html import unescape

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from latent_core.compress import RandomCompressor, align
from latent_core.ui import markup
from latent_core.ui.compression import CompressionCache, CompressionView
from latent_core.ui.samples import Sample

ATTACK = (
    "<img src=x onerror=alert(1)> <script>alert(2)</script> ' onmouseover='alert(3) ${alert(4)} {{alert(5)}} @children"
)
_TAG = re.compile(r"<[^>]*>")
_ALLOWED_TAG = re.compile(
    r"</?(?:div|p|b|h4|del|section|span|table|thead|tbody|tr|th|td)"
    r"(?: (?:class=(?:number|'[a-z ]+')|style='--p:[\d.]+'|title='[^'<>]*'))*>"
)


def _cache() -> CompressionCache:
    return CompressionCache(RandomCompressor(1), lambda text: len(text.split()))


def _plain(html: str) -> str:
    return unescape(_TAG.sub("", html))


def _check_inert(html: str) -> None:
    assert all(_ALLOWED_TAG.fullmatch(tag) for tag in _TAG.findall(html)), _TAG.findall(html)
    assert not set("{}$`@") & set(html)


@given(st.text("ab1 .\n<>&'\"{}$`", min_size=1, max_size=40).filter(str.strip), st.sampled_from([0.1, 0.5, 1.0]))
def test_diff_and_heat_map_show_the_source_character_by_character(text, ratio):
    view = _cache().view(text, ratio)
    assert _plain(markup.diff(view)) == text
    assert _plain(markup.heat_map(view.alignment)).endswith(text)
    _check_inert(markup.diff(view) + markup.heat_map(view.alignment))


def test_markup_of_an_attack_is_inert_everywhere():
    view = _cache().view(ATTACK, 0.5)
    sample = Sample(ATTACK, ATTACK, ATTACK, ATTACK)
    for html in (
        markup.diff(view),
        markup.heat_map(view.alignment),
        markup.compressed(view),
        markup.counts(view, ATTACK),
        markup.side_by_side([view, view], ATTACK, 0.5),
        markup.problem(sample.question, sample.answer),
        markup.note(ATTACK),
        markup.error_note(ATTACK),
        markup.with_boxes(ATTACK),
        markup.table((ATTACK,), [(ATTACK,)]),
    ):
        _check_inert(html)
        assert "alert" in _plain(html)


def test_boxes_are_drawn_without_their_macro_and_dollars_and_the_rest_stays_text():
    html = markup.with_boxes(r"So $x$ is $\boxed{\frac{1}{2}}$, or \boxed{\boxed{3} <b>} and \boxed{open.")
    assert re.findall(r"<span class='boxed'>(.*?)</span>", html) == [
        markup.escape(r"\frac{1}{2}"),
        markup.escape(r"\boxed{3} <b>"),
    ]
    assert _plain(html) == r"So $x$ is \frac{1}{2}, or \boxed{3} <b> and \boxed{open."
    _check_inert(html)


def test_diff_of_a_repeated_word_strikes_the_occurrence_that_was_dropped():
    scored = RandomCompressor(0).score_words(["4 and 4 and 4"])[0]
    alignment = align(scored, [np.asarray([False, True, True, False, False])])
    view = CompressionView(0.5, alignment, _cache().view("4", 1.0).compressed)
    bare = re.sub(r"<span title[^>]*>|</span>(?!<)|(?<=[^>])</span>", "", markup.diff(view))
    assert re.sub(r"</?(?:span|div)[^>]*>", "", bare) == "<del>4</del> and 4 <del>and 4</del>"


def test_heat_map_shades_a_word_by_its_probability_and_says_it():
    alignment = _cache().view("one two three", 0.5).alignment
    html = markup.heat_map(alignment)
    for word in alignment.words:
        assert f"--p:{word.keep_probability:.3f}' title='P(keep) {word.keep_probability:.3f}, " in html


def test_counts_name_both_tokenizers():
    text = _plain(markup.counts(_cache().view("one two three four", 0.5), "some-model"))
    assert "encoder tokens" in text and "some-model tokens" in text and "of 4" in text


def test_table_aligns_columns_of_numbers_only():
    html = markup.table(("word", "change"), [("12", "+0.5"), ("x", "-1")])
    assert html.count("class=number") == 3 and "<td>12</td>" in html
