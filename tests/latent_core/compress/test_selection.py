"""Selection is arithmetic on scores: thresholds, target tokens, kept values, and the spans it copies."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from latent_core.compress import (
    RandomCompressor,
    ScoredChunk,
    ScoredText,
    SelectionOptions,
    TokenFamily,
    answer_retained,
    select,
)
from latent_core.compress.answers import _VALUE, answer_span
from latent_core.compress.selection import percentile, threshold_percentile
from latent_core.compress.spans import average_over_units, join_spans, split_units
from latent_core.config.compress import RatioOf
from latent_core.errors import InputError


def _scored_spans(text: str, probability: list[float] | None = None) -> ScoredText:
    spans = split_units(text)
    words = tuple(text[start:end] for start, end in spans.tolist())
    scores = np.linspace(0.9, 0.1, len(words)) if probability is None else np.asarray(probability)
    lengths = np.ones(len(words), dtype=np.int64)
    return ScoredText(text, (ScoredChunk(words, scores.astype(np.float32), lengths, False, spans),), None)


def _scored_words(words: list[str], probability: list[float], lengths: list[int]) -> ScoredText:
    chunk = ScoredChunk(tuple(words), np.asarray(probability, np.float32), np.asarray(lengths))
    return ScoredText(" ".join(words), (chunk,), TokenFamily.WORDPIECE)


def test_select_longer_words_weigh_more():
    short = _scored_words(["a", "b", "c", "d"], [0.9, 0.8, 0.3, 0.2], [1, 1, 1, 1])
    heavy = _scored_words(["a", "b", "c", "d"], [0.9, 0.8, 0.3, 0.2], [9, 1, 1, 1])
    assert select(short, 0.5).text == "a b"
    assert select(heavy, 0.5).text == ""  # the first word alone is over half: the strict threshold is its own value
    assert select(heavy, 0.2).encoder_tokens_before == 12


def test_select_forced_word_makes_the_percentile_double_precision():
    low = np.float32(0.5)
    high = np.nextafter(low, np.float32(1))  # in float32 nothing lies between the two, so a percentile there is `high`
    narrow = _scored_words(["a", "b", "c", "d"], [0.1, low, high, 1.0], [1, 1, 1, 1])
    wide = replace(narrow, chunks=(replace(narrow.chunks[0], wide=True),))
    reference = np.percentile([np.float32(0.1), low, high, 1.0], 57)
    assert low < reference < high
    assert select(narrow, 0.44).text == "d"
    assert select(wide, 0.44).text == "c d"


@pytest.mark.parametrize(("ratio", "expected"), [(1.0, 1), (0.75, 26), (0.5, 51), (0.1, 91)])
def test_threshold_percentile_is_one_above_the_share_that_goes(ratio, expected):
    assert threshold_percentile(ratio) == expected


@pytest.mark.parametrize(
    ("rule", "kept"), [("keep_numbers", "12"), ("keep_operators", "="), ("keep_latex_commands", r"\frac")]
)
def test_select_keep_rule_keeps_its_own_kind_whatever_its_probability(rule, kept):
    scored = _scored_spans(r"12 = \frac a b c d e", [0.1, 0.1, 0.1, 0.9, 0.2, 0.2, 0.2, 0.2])
    assert select(scored, 0.1, SelectionOptions(**{rule: True})).text == kept


def test_select_drop_consecutive_keeps_one_of_a_run():
    scored = _scored_words(["x", ":", ":", "y", ":"], [0.9, 1.0, 1.0, 0.95, 1.0], [1, 1, 1, 1, 1])
    assert select(scored, 0.99).text.count(":") == 3
    assert select(scored, 0.99, SelectionOptions(drop_consecutive=(":",))).text == "x : y :"


def test_select_at_one_returns_the_source():
    text = "Two  spaces,\n\nand 3 lines.\n"
    whole = select(_scored_spans(text), 1.0, SelectionOptions(drop_consecutive=(".",)), count_target=len)
    assert (whole.text, whole.achieved_ratio, whole.encoder_tokens_after) == (text, 1.0, whole.encoder_tokens_before)


def test_compressed_text_achieved_ratio_needs_counts():
    plain = select(_scored_spans("a b c d"), 0.5)
    assert plain.achieved_ratio is None
    assert plain.with_target_tokens(8, 2).achieved_ratio == 0.25


@given(
    st.lists(st.tuples(st.text("abcdefgh", min_size=1, max_size=9), st.floats(0, 1)), min_size=1, max_size=40),
    st.floats(0.01, 0.99),
)
def test_select_target_tokens_is_within_one_word(pairs, ratio):
    words, probability = zip(*pairs, strict=True)
    text = " ".join(words)
    scored = _scored_spans(text, list(probability))

    def count(piece: str) -> int:  # several tokens a word, unlike the encoder's count of one
        return sum(1 + len(word) // 3 for word in piece.split())

    result = select(scored, ratio, SelectionOptions(ratio_of=RatioOf.TARGET_TOKENS), count_target=count)
    assert abs(count(result.text) - ratio * count(text)) <= max(count(word) for word in words)
    assert result.target_tokens_after == count(result.text)


def test_select_target_tokens_differs_from_encoder_words():
    words = [f"w{'x' * 20}" if index % 2 else "a" for index in range(40)]
    probability = [0.9 if index % 2 else 0.1 for index in range(40)]
    scored = _scored_spans(" ".join(words), probability)
    by_words = select(scored, 0.5, count_target=len)
    by_target = select(scored, 0.5, SelectionOptions(ratio_of=RatioOf.TARGET_TOKENS), count_target=len)
    assert by_words.achieved_ratio is not None
    assert abs(by_words.achieved_ratio - 0.5) > 0.4
    assert by_target.achieved_ratio == pytest.approx(0.5, abs=0.03)


def test_select_target_tokens_without_a_counter_is_refused():
    with pytest.raises(InputError, match="count_target"):
        select(_scored_spans("a b"), 0.5, SelectionOptions(ratio_of=RatioOf.TARGET_TOKENS))


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("Then he sold it for a profit of $70,000 in all", "70000"),
        ("so the loss is x = -5 and that is it", "-5"),
        ("it follows that p = \\dfrac{3}{4} by symmetry", "\\frac{3}{4}"),
        ("we get \\left( 3, \\frac{\\pi}{2} \\right) here", "\\left( 3, \\frac{\\pi}{2} \\right)"),
        ("the value is .5 exactly", "0.5"),
    ],
)
def test_select_keep_value_retains_the_answer_at_any_ratio(text, gold):
    scored = _scored_spans(text)
    assert not answer_retained(select(scored, 0.1).text, gold)
    kept = select(scored, 0.1, SelectionOptions(keep_value=True), gold=gold)
    assert answer_retained(kept.text, gold)
    assert len(kept.text) < len(text)


def test_select_keep_value_without_gold_is_refused():
    with pytest.raises(InputError, match="gold: keep_value"):
        select(_scored_spans("1"), 0.5, SelectionOptions(keep_value=True))


@pytest.mark.parametrize(
    ("text", "gold", "retained"),
    [
        ("total 72", "72", True),
        ("total 72.0 clips", "72", True),
        ("total 172", "72", False),
        ("total 7.2", "72", False),
        ("99. 3 percent", "99.3", False),
        ("a gain of 5", "-5", False),
        ("a share of .5 of it", "0.50", True),
        ("a share of 12.5 of it", "0.5", False),
        ("1,000.50, then", "1000.5", True),
        ("٣ apples", "3", True),
        ("it costs $1,200.", "1200", True),
        ("\\ frac { 1 } { 2 }", "\\frac{1}{2}", True),
        ("the answer is Bee", "B", False),
        ("the answer is B.", "B", True),
        ("", "1", False),
    ],
)
def test_answer_retained_looks_for_the_value(text, gold, retained):
    assert answer_retained(text, gold) is retained


def test_answer_retained_empty_gold_is_refused():
    with pytest.raises(InputError, match="gold"):
        answer_retained("1", " ")


def test_join_spans_never_glues_words_and_keeps_line_breaks():
    text = "12+30=42.\nSo x=5\n\n\n(yes) 3.x7"
    spans = [tuple(span) for span in split_units(text).tolist()]
    words = [text[start:end] for start, end in spans]
    without = [index for index, word in enumerate(words) if word not in {"+", "=", "So", "(", ")", "x", "."}]
    assert join_spans(text, spans, without) == "12 30 42\n5\n\nyes 3 7"
    assert join_spans(text, spans, range(len(spans))) == text


@given(st.text(max_size=60))
@example("\\ ")  # LaTeX's control space, whose white character belongs to it
@example("\\\r")
def test_split_units_covers_every_visible_character(text):
    spans = split_units(text).tolist()
    assert "".join("".join(text[start:end] for start, end in spans).split()) == "".join(text.split())
    assert join_spans(text, [tuple(span) for span in spans], range(len(spans))).strip() == text.strip()


def test_average_over_units_takes_each_token_that_overlaps_and_no_neighbour():
    text = "a99.3 b"  # tokens: a | 99 | . | 3 | b, where the unit 99.3 owns three
    tokens = np.asarray([(0, 1), (1, 3), (3, 4), (4, 5), (6, 7)])
    values = np.asarray([0.1, 0.2, 0.6, 0.7, 0.9], np.float32)
    scores = average_over_units(split_units(text), tokens, values)
    np.testing.assert_allclose(scores.mean, [0.1, 0.5, 0.9], rtol=1e-6)
    assert scores.first_token.tolist() == [0, 1, 4]
    assert average_over_units(np.asarray([(7, 9)]), tokens, values).mean.tolist() == [0.0]


def test_random_compressor_is_the_same_in_another_process_and_nested():
    text = "one two three four five six seven eight nine ten"
    here = RandomCompressor(3).compress([text, text[4:]], [0.3, 0.6])
    code = f"from latent_core.compress import *; print(RandomCompressor(3).compress([{text!r}], [0.3])[0][0.3].text)"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here[0][0.3].text
    assert set(here[0][0.3].text.split()) < set(here[0][0.6].text.split())
    assert RandomCompressor(4).compress([text], [0.3])[0][0.3].text != here[0][0.3].text


def test_truncate_compressor_keeps_the_beginning():
    from latent_core.compress import TruncateCompressor

    results = TruncateCompressor().compress(["one two three\nfour five six seven eight nine ten", ""], [0.4, 1.0])
    assert results[0][0.4].text == "one two three\nfour"
    assert results[1][0.4].text == ""


def test_compress_package_imports_without_torch():
    code = "import sys, latent_core.compress; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60),
    st.integers(0, 100),
    st.sampled_from([np.float32, np.float64]),
)
def test_percentile_is_numpys_to_the_last_bit(values, percent, kind):
    vector = np.asarray(values, dtype=kind)
    expected = np.percentile(vector, percent)
    assert percentile(vector, percent) == expected and percentile(vector, percent).dtype == expected.dtype


@given(st.text(alphabet="-−0123.,5 x\n", max_size=30), st.sampled_from(["5", "-5", "-3.0", "35", "0", "-0", "1,235"]))
def test_answer_is_found_where_a_pattern_of_sign_and_number_finds_it(text, gold):
    wanted = _VALUE.fullmatch(gold)
    value = float(wanted["number"].replace(",", ""))
    negative = wanted["sign"] is not None and value != 0
    found = None
    for match in _VALUE.finditer(text):
        if float(match["number"].replace(",", "")) == value and (match["sign"] is not None or not negative):
            found = match.span() if negative else match.span("number")
    assert answer_span(text, gold) == found
