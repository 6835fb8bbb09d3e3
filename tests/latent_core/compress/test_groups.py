"""Groups of a text, and choosing among them: whole, in order, as long as asked for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latent_core.compress import RandomCompressor, ScoredText, SelectionOptions, TruncateCompressor, grouped, select
from latent_core.compress.baselines import BaselineCompressor
from latent_core.compress.groups import GroupKind, GroupScore, split_groups
from latent_core.compress.retention import retention
from latent_core.compress.selection import in_units, kept_words
from latent_core.compress.spans import split_units
from latent_core.config.compress import RatioOf, Unit
from latent_core.errors import InputError

SPAN = SelectionOptions(unit=Unit.SPAN)


def groups(text: str) -> list[tuple[str, GroupKind]]:
    units = split_units(text)
    return [(text[units[g.first][0] : units[g.stop - 1][1]], g.kind) for g in split_groups(text)]


def several(text: str) -> list[str]:
    """The groups of more than a word."""
    return [piece for piece, kind in groups(text) if kind is not GroupKind.WORD]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("First, 35 + 12 = 47 apples.", ["35 + 12 = 47"]),
        (r"We get \frac{1}{2}x = 3, hence 6.", [r"\frac{1}{2}x = 3", "6"]),
        ("then 2 * (3 + 4) is 14", ["2 * (3 + 4)", "14"]),
        ("the total = 47.", ["total = 47"]),
        ("40 items - 4 items = 36 items", ["40 items - 4 items = 36"]),
        ("14 14 2 (since 3 + 4 = 7)", ["14", "14", "2", "3 + 4 = 7"]),
        ("a $5 bill, 20% of 3-digit, 5km at 3:45", ["$5", "20%", "3", "5km", "3:45"]),
        ("- 3 apples\n- 4 + 5 = 9\n1) 3+4", ["3", "4 + 5 = 9", "1", "3+4"]),
        ("x = 3 + 4\n= 7\n\n5", ["x = 3 + 4\n= 7", "5"]),
        ("3 + 4 = 7\n- 5 apples", ["3 + 4 = 7", "5"]),
        ("x = 3\n\n= 4", ["x = 3", "= 4"]),
        (r"\text{all of it} = 4 and f(x) = 2x^2 - -3", [r"\text{all of it} = 4", "f(x) = 2x^2 - -3"]),
        ("**Step 1**: 5! / 3! = 20", ["1", "5! / 3! = 20"]),
        ("小明有3个苹果，3+4=7。", ["3", "3+4=7"]),
        ("well-known and/or km/h", []),
        ("= 5 +", ["= 5"]),
        ("", []),
    ],
)
def test_groups_of_a_text_are_its_numbers_and_expressions(text: str, found: list[str]) -> None:
    assert several(text) == found


PIECES = [
    "so",
    "Finn",
    "has",
    ".",
    ",",
    "\n",
    "12",
    "3",
    "$5",
    "x",
    "+",
    "-",
    "=",
    "(",
    ")",
    r"\frac{1}{2}",
    "{",
    "答案",
]
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=40).map(" ".join) | st.text(max_size=60)
RATIOS = st.floats(0.05, 0.99)


class Scored(BaselineCompressor):
    """Scores and lengths of units as a test draws them."""

    def __init__(self, seed: int) -> None:
        super().__init__(len)
        self._generator = np.random.default_rng(seed)

    def score_words(self, texts):
        units = [split_units(text) for text in texts]
        few = [self._generator.integers(0, 4, len(own)) / 4 for own in units]  # many ties
        return [self._scored(*item) for item in zip(texts, units, [row.astype(np.float32) for row in few], strict=True)]


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, seed=st.integers(0, 99), ratio=RATIOS)
def test_selected_groups_are_whole_in_order_and_within_one_group_of_the_ratio(text, seed, ratio) -> None:
    (words,) = Scored(seed).score_words([text])
    scored = in_units(words, SPAN)
    assert scored.tokens == words.tokens
    if not scored.chunks:
        assert select(words, ratio, SPAN).text == ""
        return
    (chunk,) = scored.chunks
    spans = chunk.spans
    covered = np.zeros(len(text), bool)
    for start, end in spans.tolist():
        covered[start:end] = True
    assert all(covered[start:end].all() for start, end in split_units(text).tolist())
    assert all(end <= start for (_, end), (start, _) in pairwise(spans.tolist()))

    (mask,) = kept_words(scored, ratio, SPAN)
    assert mask.any()
    lowest = chunk.keep_probability[mask].min()
    assert not mask.all() or (chunk.keep_probability >= lowest).all()
    assert mask[chunk.keep_probability > lowest].all()  # best first
    tied = mask[chunk.keep_probability == lowest].tolist()
    assert tied == sorted(tied, reverse=True)  # of equals the earlier
    kept = int(chunk.lengths[mask].sum())
    assert abs(kept - ratio * scored.tokens) <= chunk.lengths.max()
    compressed = select(words, ratio, SPAN)
    assert compressed.encoder_tokens_after == kept and compressed.encoder_tokens_before == words.tokens
    place = 0
    for start, end in spans[mask].tolist():  # whole and in order
        place = compressed.text.index(text[start:end], place) + end - start
    assert retention(text, compressed.text).equations_broken == 0


@settings(max_examples=60, deadline=None)
@given(text=TEXTS, seed=st.integers(0, 99), ratio=RATIOS)
def test_groups_solved_for_target_tokens_come_within_one_group(text, seed, ratio) -> None:
    options = SelectionOptions(unit=Unit.SPAN, ratio_of=RatioOf.TARGET_TOKENS)
    (words,) = Scored(seed).score_words([text])
    found = select(words, ratio, options, count_target=lambda piece: len(split_units(piece)))
    longest = max((group.stop - group.first for group in split_groups(text)), default=0)
    assert abs(found.target_tokens_after - ratio * found.target_tokens_before) <= longest + 1


@settings(max_examples=150, deadline=None)
@given(text=TEXTS | st.text("\\ \t\n\x1c\u200d\u0301a1$.ไท{}", max_size=30), ratio=RATIOS)
def test_baselines_that_score_by_whitespace_are_chosen_from_by_groups_of_any_text(text, ratio) -> None:
    for compressor in (RandomCompressor(3), TruncateCompressor(len)):
        (words,) = compressor.score_words([text])
        found = select(words, ratio, SPAN)
        assert bool(found.text) == bool(len(split_units(text)))
        assert found.encoder_tokens_before >= words.tokens


def test_group_scores_as_the_mean_of_its_words_and_adds_their_lengths() -> None:
    text = "so 3 + 4 = 7"
    (words,) = TruncateCompressor(len).score_words([text])
    (chunk,) = grouped(words).chunks
    assert chunk.words == ("so", "3 + 4 = 7")
    np.testing.assert_allclose(chunk.keep_probability, [6 / 7, np.mean([5, 4, 3, 2, 1]) / 7])
    assert chunk.lengths.tolist() == [2, 5]


@pytest.mark.parametrize(
    ("score", "squash"),
    [
        (GroupScore.MEAN_ODDS, lambda bits: bits / (1 + bits)),
        (GroupScore.MEAN_LOG_ODDS, lambda nats: 1 / (1 + np.exp(-nats))),
    ],
)
def test_group_of_squashed_scores_is_ordered_by_the_mean_of_the_scores_themselves(score, squash) -> None:
    """An equation of four sure units and a very surprising one, beside an even word: squashing hides the surprise."""
    text = "even 3 + 4 = 7"
    units = split_units(text)
    raw = np.asarray([2.0, 0.1, 0.1, 0.1, 0.1, 12.0])
    scored = BaselineCompressor._scored(TruncateCompressor(), text, units, squash(raw).astype(np.float32))
    word, equation = grouped(scored, score).chunks[0].keep_probability
    assert (word, equation) == pytest.approx(squash(np.asarray([2.0, raw[1:].mean()])), rel=1e-4)
    assert equation > word
    plain = grouped(scored).chunks[0].keep_probability
    assert plain[0] > plain[1]


@pytest.mark.parametrize("score", [GroupScore.MEAN_ODDS, GroupScore.MEAN_LOG_ODDS])
def test_group_of_scores_that_float32_rounds_to_certainty_is_still_a_number(score: GroupScore) -> None:
    text = "all 3 + 4 = 7"
    units = split_units(text)
    scored = BaselineCompressor._scored(TruncateCompressor(), text, units, np.asarray([0, 0, 0, 1, 1, 1], np.float32))
    found = grouped(scored, score).chunks[0].keep_probability
    assert np.isfinite(found).all() and 0 <= found[0] < found[1] <= 1


def test_group_of_random_scores_takes_one_draw_so_that_long_ones_are_kept_as_often_as_words() -> None:
    texts = [f"in step {seed} 3 + 4 = 7 is what follows then for all of them" for seed in range(300)]
    kept = {}
    for score in GroupScore:
        options = SelectionOptions(unit=Unit.SPAN, group_score=score)
        masks = [
            kept_words(in_units(words, options), 0.3, options)[0] for words in RandomCompressor(1).score_words(texts)
        ]
        kept[score] = np.mean([mask[3] for mask in masks])
    assert abs(kept[GroupScore.FIRST] - 0.3) < 0.1 and kept[GroupScore.MEAN] < 0.15


def test_truncate_by_spans_keeps_the_beginning_up_to_a_whole_group() -> None:
    (words,) = TruncateCompressor().score_words(["Now 3 + 4 = 7 and 5 more are 12."])
    assert select(words, 0.5, SPAN).text == "Now 3 + 4 = 7"
    assert select(words, 0.4, SPAN).text == "Now 3 + 4 = 7"
    assert select(words, 0.2, SPAN).text == "Now"


def test_rules_force_every_group_that_holds_what_they_name() -> None:
    (words,) = TruncateCompressor().score_words([r"we add 3 + 4 = 7 and see 9 then \sqrt{5} here"])
    numbers = SelectionOptions(unit=Unit.SPAN, keep_numbers=True)
    assert select(words, 0.1, numbers).text == r"3 + 4 = 7 9 \sqrt{5}"
    assert select(words, 0.1, SelectionOptions(unit=Unit.SPAN, keep_operators=True)).text == "3 + 4 = 7"
    assert select(words, 0.1, SelectionOptions(unit=Unit.SPAN, keep_latex_commands=True)).text == r"\sqrt{5}"
    assert select(words, 0.05, SelectionOptions(unit=Unit.SPAN, keep_value=True), gold="9").text == "9"


def test_groups_need_spans_and_their_own_text() -> None:
    (words,) = TruncateCompressor().score_words(["3 + 4"])
    with pytest.raises(InputError, match="pass what in_units"):
        kept_words(words, 0.5, SPAN)
    with pytest.raises(InputError, match="drop_consecutive"):
        select(words, 0.5, SelectionOptions(unit=Unit.SPAN, drop_consecutive=("Step",)))
    from latent_core.compress import TokenFamily

    with pytest.raises(InputError, match="spans: unit=span needs"):
        select(ScoredText("3 + 4", words.chunks, TokenFamily.WORDPIECE), 0.5, SPAN)
