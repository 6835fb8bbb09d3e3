"""Which words stay at a ratio: pure arithmetic on scored texts, so that a new ratio costs no encoder pass.

The threshold is LLMLingua-2's (arXiv 2403.12968 §4.2; llmlingua 0.2.2, `__compress`): per chunk, a percentile of the
words' probabilities, each counted as often as the word has tokens. With `unit=span` whole groups are taken instead,
best first (`groups`, `greedy`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress, pairwise

import numpy as np
from numpy.typing import NDArray

from latent_core.compress.answers import answer_span
from latent_core.compress.greedy import best_first, nearest_count
from latent_core.compress.groups import GroupedText, GroupScore, grouped
from latent_core.compress.lengths import TokenCounter
from latent_core.compress.scored import CompressedText, ScoredChunk, ScoredText
from latent_core.compress.spans import is_latex, is_number, is_operator, join_spans, overlaps
from latent_core.compress.words import detokenize
from latent_core.config.compress import RatioOf, Unit
from latent_core.errors import InputError

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SelectionOptions:
    """How words are chosen. The defaults are llmlingua's; `keep_*` need scores of source spans.

    `drop_consecutive` names the tokens of which only the first stays when nothing between two of them does (llmlingua's
    `drop_consecutive=True` means its force tokens). `keep_latex_commands` also keeps the braces and scripts that a kept
    command needs; `keep_value` keeps the last occurrence of the gold answer.

    With `unit=span` a group (`groups`) is kept whole or not at all, and `group_score` says how it is scored. Numbers
    outside any equation then compete like words, unless `keep_numbers` forces them: a rule forces every group that
    holds what it names, so `keep_numbers` keeps all equations, too. What is kept at a ratio need not hold what is kept
    at a smaller one.
    """

    unit: Unit = Unit.WORD
    group_score: GroupScore = GroupScore.MEAN
    ratio_of: RatioOf = RatioOf.ENCODER_WORDS
    drop_consecutive: tuple[str, ...] = ()
    keep_numbers: bool = False
    keep_operators: bool = False
    keep_latex_commands: bool = False
    keep_value: bool = False

    @property
    def keeps(self) -> bool:
        """Whether any `keep_*` rule is on."""
        return self.keep_numbers or self.keep_operators or self.keep_latex_commands or self.keep_value


PAPER_SELECTION = SelectionOptions()


def check_ratio(ratio: float) -> None:
    """Raise InputError unless 0 < ratio <= 1."""
    try:
        inside = 0 < ratio <= 1
    except TypeError:  # no number
        inside = False
    if not inside:
        raise InputError(f"ratio: must lie in (0, 1], got {ratio!r}; it is the share of tokens to keep")


def select(
    scored: ScoredText,
    ratio: float,
    options: SelectionOptions = PAPER_SELECTION,
    *,
    gold: str | None = None,
    count_target: TokenCounter | None = None,
) -> CompressedText:
    """Compress a scored text to about `ratio` of its tokens.

    Ratio 1.0 returns the source text unchanged, whatever the options (llmlingua would detokenise it). With
    `ratio_of=target_tokens`, `count_target` counts the target model's tokens of a text; the achieved share is then
    within one word of the request unless kept words alone exceed it, and both target counts are filled in. With
    `unit=span` it is within one group of the request, in whatever the ratio counts, and never empty. Raises InputError
    for a ratio outside (0, 1], for target tokens without their counter, for keep rules and groups on scores that are
    not source spans, for `keep_value` without `gold` and for `drop_consecutive` with groups.
    """
    scored = in_units(scored, options)
    kept = kept_words(scored, ratio, options, gold=gold, count_target=count_target)
    return compressed_text(scored, ratio, kept, count_target)


def in_units(scored: ScoredText, options: SelectionOptions) -> ScoredText:
    """The text with what `options` keep or drop for words: its groups, or the scored words themselves.

    Raises InputError for groups of scores that are not source spans.
    """
    return grouped(scored, options.group_score) if options.unit is Unit.SPAN else scored


def kept_words(
    scored: ScoredText,
    ratio: float,
    options: SelectionOptions = PAPER_SELECTION,
    *,
    gold: str | None = None,
    count_target: TokenCounter | None = None,
) -> list[Mask]:
    """Which words `select` keeps: one mask a chunk, shape (words,). Raises as `select` does.

    With `unit=span`, `scored` must come from `in_units`, and the masks are of its groups.
    """
    check_ratio(ratio)
    if options.unit is Unit.SPAN and not isinstance(scored, GroupedText):
        raise InputError("unit: span chooses among groups; pass what in_units(scored, options) returns")
    if options.unit is Unit.SPAN and options.drop_consecutive:
        raise InputError("drop_consecutive: force tokens are dropped one by one, which unit=span never does")
    if options.ratio_of is RatioOf.TARGET_TOKENS and count_target is None:
        raise InputError("count_target: ratio_of=target_tokens needs the target tokenizer's counter")
    if options.keeps and scored.family is not None:
        raise InputError("spans: keep_numbers, keep_operators, keep_latex_commands and keep_value need spans=True")
    if options.keep_value and gold is None:
        raise InputError("gold: keep_value needs the gold answer of every text")
    if ratio == 1:
        return [np.ones(len(chunk.words), dtype=np.bool_) for chunk in scored.chunks]
    always = [_kept_by_rule(scored, chunk, options, gold) for chunk in scored.chunks]
    if options.ratio_of is RatioOf.TARGET_TOKENS and count_target is not None:
        return _solve_for_target(scored, ratio, always, options, count_target)
    if isinstance(scored, GroupedText):
        return [_best_groups(chunk, ratio, rule) for chunk, rule in zip(scored.chunks, always, strict=True)]
    kept = [_above_percentile(chunk, ratio, rule, options) for chunk, rule in zip(scored.chunks, always, strict=True)]
    return _without_repeats(scored, kept, options)


def compressed_text(
    scored: ScoredText, ratio: float, kept: Sequence[Mask], count_target: TokenCounter | None = None
) -> CompressedText:
    """The text that the kept words make, with its counts; at ratio 1.0 the source text unchanged."""
    text = scored.text if ratio == 1 else render(scored, kept)
    after = sum(int(chunk.lengths[mask].sum()) for chunk, mask in zip(scored.chunks, kept, strict=True))
    compressed = CompressedText(text, ratio, scored.tokens, after)
    if count_target is None:
        return compressed
    return compressed.with_target_tokens(count_target(scored.text), count_target(text))


def threshold_percentile(ratio: float) -> int:
    """The percentile that a kept word's probability must exceed; the `+ 1` is the reference's own."""
    return int(100 * max(0, 1 - ratio) + 1)


def probability_threshold(probability: NDArray[np.floating], lengths: NDArray[np.int64], ratio: float) -> np.floating:
    """That percentile of a chunk's probabilities, each counted once a token; shapes (words,), at least one token."""
    threshold: np.floating = percentile(np.repeat(probability, lengths), threshold_percentile(ratio))
    return threshold


def _above_percentile(chunk: ScoredChunk, ratio: float, always: Mask, options: SelectionOptions) -> Mask:
    """The reference's rule for one chunk; the strict `>` is its own."""
    if not options.drop_consecutive and not chunk.wide and not always.any():
        return _above_percentile_alone(chunk, ratio)
    reduce = max(0, 1 - ratio)
    probability: NDArray[np.floating] = chunk.keep_probability.astype(np.float64 if chunk.wide else np.float32)
    if options.drop_consecutive:
        probability = _zero_repeats(chunk.words, probability, reduce, options.drop_consecutive)
    if always.any():
        probability = np.where(always, 1.0, probability)
    if not chunk.lengths.sum():
        return always
    threshold = probability_threshold(probability, chunk.lengths, ratio)
    kept = probability > threshold
    if threshold == 1.0:
        kept |= probability == threshold
    return np.asarray(kept | always, dtype=np.bool_)


def _above_percentile_alone(chunk: ScoredChunk, ratio: float) -> Mask:
    """The same where nothing but the scores decides, so that they are put into order once for all ratios."""
    if not len(chunk.ordered_probability):
        return np.zeros(len(chunk.words), dtype=np.bool_)
    threshold = _percentile_of_ordered(chunk.ordered_probability, threshold_percentile(ratio))
    return chunk.keep_probability >= threshold if threshold == 1.0 else chunk.keep_probability > threshold


def percentile(values: NDArray[np.floating], percent: int) -> np.floating:
    """`np.percentile(values, percent)` of a non-empty, finite vector, bit for bit, in a tenth of its time."""
    return _percentile_of_ordered(np.sort(values), percent)


def _percentile_of_ordered(ordered: NDArray[np.floating], percent: int) -> np.floating:
    place = (len(ordered) - 1) * (percent / 100)
    index = int(place)
    if index >= len(ordered) - 1:
        return ordered[-1]  # type: ignore[no-any-return]
    low, high, share = ordered[index], ordered[index + 1], place - index
    # Interpolated from the nearer end, as numpy does, in the vector's own precision.
    return low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)  # type: ignore[no-any-return]


def _zero_repeats(
    words: Sequence[str], probability: NDArray[np.floating], reduce: float, tokens: Sequence[str]
) -> NDArray[np.floating]:
    """Give probability 0 to a token that follows itself with no word between them that would stay."""
    if not len(words):
        return probability
    threshold = percentile(probability, int(100 * reduce))
    zeroed = probability
    between = False
    previous = None
    for index, word in enumerate(words):
        if word not in tokens:
            between = between or bool(zeroed[index] > threshold)
            continue
        if not between and word == previous:
            # Once a plain 0.0 is in the reference's list, its percentiles are float64.
            zeroed = zeroed.astype(np.float64) if zeroed is probability else zeroed
            zeroed[index] = 0.0
        between = False
        previous = word
    return zeroed


def _without_repeats(scored: ScoredText, kept: list[Mask], options: SelectionOptions) -> list[Mask]:
    """Drop a kept `drop_consecutive` token that directly follows itself among the kept words of its chunk."""
    if not options.drop_consecutive:
        return kept
    result = []
    for chunk, mask in zip(scored.chunks, kept, strict=True):
        mask = mask.copy()
        for before, index in pairwise(np.flatnonzero(mask)):
            if chunk.words[index] in options.drop_consecutive and chunk.words[before] == chunk.words[index]:
                mask[index] = False
        result.append(mask)
    return result


def _kept_by_rule(scored: ScoredText, chunk: ScoredChunk, options: SelectionOptions, gold: str | None) -> Mask:
    rules: list[Callable[[str], bool]] = []
    if options.keep_numbers:
        rules.append(is_number)
    if options.keep_operators:
        rules.append(is_operator)
    if options.keep_latex_commands:
        rules.append(is_latex)
    units = chunk.words
    if isinstance(scored, GroupedText):
        units = tuple(scored.text[start:end] for start, end in scored.units.tolist())
    mask = np.zeros(len(units), dtype=np.bool_)
    for rule in rules:
        mask |= np.fromiter(map(rule, units), np.bool_, len(units))
    if isinstance(scored, GroupedText):
        mask = scored.any_unit(mask)
    if options.keep_value and gold is not None and chunk.spans is not None:
        span = answer_span(scored.text, gold)
        if span is not None:
            mask |= overlaps(chunk.spans, *span)
    return mask


def _solve_for_target(
    scored: ScoredText, ratio: float, always: list[Mask], options: SelectionOptions, count: TokenCounter
) -> list[Mask]:
    """Keep the k most probable words of the whole text, with k such that the result's tokens come closest to ratio."""
    sizes = [len(chunk.words) for chunk in scored.chunks]
    rule = np.concatenate([np.zeros(0, np.bool_), *always])
    probability = np.concatenate([np.zeros(0, np.float32), *(chunk.keep_probability for chunk in scored.chunks)])
    order = best_first(probability, rule)

    def masks(words: int) -> list[Mask]:
        flat = np.zeros(len(order), dtype=np.bool_)
        flat[order[:words]] = True
        return _without_repeats(scored, _split(flat, sizes), options)

    def tokens(words: int) -> int:
        return count(render(scored, masks(words)))

    least = int(rule.sum())
    if isinstance(scored, GroupedText):
        least = max(least, min(1, len(order)))  # a first group that is too long is better than nothing
    return masks(nearest_count(tokens, ratio * count(scored.text), least, len(order)))


def _best_groups(chunk: ScoredChunk, ratio: float, always: Mask) -> Mask:
    """The groups that come closest to `ratio` of the chunk's length, best first; at least one."""
    order = best_first(chunk.keep_probability, always)
    lengths = np.concatenate([[0], np.cumsum(chunk.lengths[order])])
    least = max(int(always.sum()), 1)
    mask = np.zeros(len(order), dtype=np.bool_)
    mask[order[: nearest_count(lambda groups: int(lengths[groups]), ratio * lengths[-1], least, len(order))]] = True
    return mask


def _split(flat: Mask, sizes: Sequence[int]) -> list[Mask]:
    return np.split(flat, np.cumsum(sizes)[:-1]) if sizes else []


def render(scored: ScoredText, kept: Sequence[Mask]) -> str:
    """The text that the kept words make: one mask a chunk, shape (words,)."""
    if scored.family is not None:
        return "".join(
            detokenize([chunk.words[index] for index in np.flatnonzero(mask)], scored.family)
            for chunk, mask in zip(scored.chunks, kept, strict=True)
        )
    mask = kept[0] if len(kept) == 1 else np.concatenate([np.zeros(0, np.bool_), *kept])
    if (words := scored.spaced_words) is not None:  # what `join_spans` makes of them, in a tenth of its time
        return " ".join(compress(words, mask.tolist()))
    spans = [span for chunk in scored.chunks if chunk.spans is not None for span in chunk.spans.tolist()]
    return join_spans(scored.text, spans, np.flatnonzero(mask).tolist())
