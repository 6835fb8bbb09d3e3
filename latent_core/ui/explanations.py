"""The page's answer to "why is the actual rate not my target?": four causes, in words and in the text's own numbers."""

from __future__ import annotations

from collections.abc import Sequence

from latent_core.compress.scored import ScoredText
from latent_core.ui import rates
from latent_core.ui.compression import MAX_CHARACTERS, CompressionCache
from latent_core.ui.markup import escape, note, table
from latent_core.ui.presets import TERSE, WORDY
from latent_core.ui.rates import Bias, Deviation, Threshold, TokenizerMismatch, Window

_TABLE_RATIOS = (0.9, 0.7, 0.5, 0.3, 0.1)


def explain(cache: CompressionCache, text: str, ratio: float, target: str) -> str:
    """All four sections for `text` at `ratio`; `target` names the target model. Raises InputError as the cache does."""
    scored = cache.scored(text)
    if ratio == 1 or not scored.tokens:
        return note("At ratio 1 the text is passed on unchanged: there is nothing to explain. Choose a smaller one.")
    ratios = tuple(sorted({ratio, *_TABLE_RATIOS}, reverse=True))
    long = scored if _windows_of(scored) > 1 else cache.scored(lengthened(cache, text))
    solved = [cache.view_of(scored, step, rates.SOLVED).target_share for step in ratios]
    return (
        "<div class='causes'>"
        + threshold_section(rates.thresholds(scored, ratios), solved, target, ratio)
        + window_section(rates.windows(long, ratio), ratio, long is scored)
        + mismatch_section(rates.mismatch(cache, scored, ratio), target)
        + bias_section(rates.bias(cache, scored), target)
        + "</div>"
    )


def lengthened(cache: CompressionCache, text: str) -> str:
    """`text` followed by wordy filler until the encoder needs a second window, then by terse filler.

    Stops at the page's limit, and then may be shorter than that.
    """
    longer = text
    while _windows_of(cache.scored(longer)) < 2 and len(longer) + len(WORDY) + len(TERSE) + 4 <= MAX_CHARACTERS:
        longer = f"{longer}\n\n{WORDY}"
    return f"{longer}\n\n{TERSE}"[:MAX_CHARACTERS]


def threshold_section(found: Sequence[Threshold], solved: Sequence[float], target: str, ratio: float) -> str:
    """`solved` has, for each threshold, the share of target tokens when k is solved for; `ratio` is the one asked."""
    here = next(row for row in found if row.ratio == ratio)
    words = ", ".join(f"“{word}”" for word in here.on_threshold[:4])
    boundary = (
        f"Exactly on it: {words}, dropped because a word must lie above." if words else "No word lies exactly on it."
    )
    return _section(
        "1 · A threshold, not top-k",
        f"At {here.ratio:g} the rule takes percentile {here.percentile} of the keep-probabilities, every word counted "
        f"as often as it has encoder tokens: {here.value:.3f}. {boundary} Whole words leave, so the kept share moves "
        f"in steps: here it is {here.kept_share:.3f} of the encoder tokens. The last column keeps the k best words "
        f"instead, with k solved for {target} tokens: compress.ratio_of=target_tokens.",
        table(
            ("requested", "percentile", "threshold", "kept, encoder tokens", f"solved, {target} tokens"),
            [
                (f"{row.ratio:g}", str(row.percentile), f"{row.value:.3f}", f"{row.kept_share:.3f}", f"{share:.3f}")
                for row, share in zip(found, solved, strict=True)
            ],
        ),
    )


def window_section(found: Sequence[Window], ratio: float, own: bool) -> str:
    """`own` says whether the text itself fills several windows."""
    whose = "Your text" if own else "Your text fits into one window; followed by wordy and by terse filler it"
    tokens = sum(window.tokens for window in found)
    together = sum(window.tokens * window.share_of_one_threshold for window in found) / tokens
    apart = sum(window.tokens * window.kept_share for window in found) / tokens
    others = sum(window.other_words for window in found)
    return _section(
        "2 · Every window has its own threshold",
        f"The encoder reads some 500 tokens at once, and each window must give up its share, however much it says. "
        f"{whose} fills {len(found)} windows. At {ratio:g} they keep {apart:.3f} in all; one threshold for the whole "
        f"text would keep {together:.3f}, and decide otherwise about {others} words.",
        table(
            ("window", "tokens", "its threshold", "kept", "kept by one for all", "other words"),
            [
                (
                    str(number),
                    str(window.tokens),
                    f"{window.value:.3f}",
                    f"{window.kept_share:.3f}",
                    f"{window.share_of_one_threshold:.3f}",
                    str(window.other_words),
                )
                for number, window in enumerate(found, 1)
            ],
        ),
    )


def mismatch_section(found: TokenizerMismatch, target: str) -> str:
    """The kept share in the two tokenizers' tokens."""
    view = found.view
    return _section(
        "3 · Two tokenizers",
        f"The threshold counts the encoder's tokens, the model pays in its own. The same kept words are "
        f"{view.encoder_share:.3f} of the encoder's tokens and {view.target_share:.3f} of {target}'s: a kept word "
        f"costs {found.kept_per_encoder_token:.2f} {target} tokens per encoder token, a dropped one "
        f"{found.dropped_per_encoder_token:.2f}. The words that differ most:",
        table(
            ("word", "fate", "encoder tokens", f"{target} tokens"),
            [
                (item.word, "kept" if item.kept else "dropped", str(item.encoder), str(item.target))
                for item in found.words
            ],
        ),
    )


def bias_section(found: Bias, target: str) -> str:
    """Which way each rule errs over the sweep of ratios."""
    sweep = found.deviations
    below = sum(item.encoder < 0 for item in sweep)
    plain = sum(item.encoder for item in sweep) / len(sweep)
    most = max(sweep, key=lambda item: item.numbers_kept)
    return _section(
        "4 · The errors do not cancel",
        f"The percentile is one too high and the comparison is strict, so the plain rule errs downwards: below the "
        f"request at {below} of {len(sweep)} ratios, by {plain:+.3f} on average. Words that must stay err upwards and "
        f"only at low ratios: this text's numbers and signs are {found.floor:.3f} of its tokens, and with them always "
        f"kept the largest error is {most.numbers_kept:+.3f}, at {most.ratio:g}.",
        f"<div class='beside'>{chart(sweep)}"
        + table(
            ("requested", "encoder tokens", f"{target} tokens", "numbers and signs kept"),
            [
                (f"{item.ratio:g}", f"{item.encoder:+.3f}", f"{item.target:+.3f}", f"{item.numbers_kept:+.3f}")
                for item in sweep
            ],
        )
        + "</div>",
    )


def chart(found: Sequence[Deviation]) -> str:
    """Kept over requested share as an inline SVG; the dashed diagonal is a rule that keeps what it is asked to."""
    lines = {
        "plain": ("encoder tokens", [item.encoder for item in found]),
        "target": ("target tokens", [item.target for item in found]),
        "forced": ("numbers and signs kept", [item.numbers_kept for item in found]),
    }
    drawn = "".join(
        f"<polyline class='{name}' points='{_points(found, errors)}'/>" for name, (_, errors) in lines.items()
    )
    legend = "".join(
        f"<line class='{name}' x1='50' x2='74' y1='{24 + 18 * row}' y2='{24 + 18 * row}'/>"
        f"<text x='80' y='{28 + 18 * row}'>{escape(label)}</text>"
        for row, (name, (label, _)) in enumerate(lines.items())
    )
    ticks = "".join(
        f"<text class='tick' x='{_x(step)}' y='256' text-anchor='middle'>{step:g}</text>"
        f"<text class='tick' x='34' y='{_y(step) + 4}' text-anchor='end'>{step:g}</text>"
        for step in (0.0, 0.5, 1.0)
    )
    return (
        "<svg class='chart' viewBox='0 0 300 276' role='img' aria-label='kept share over requested share'>"
        f"<rect class='frame' x='40' y='10' width='240' height='230'/>"
        f"<line class='diagonal' x1='{_x(0)}' y1='{_y(0)}' x2='{_x(1)}' y2='{_y(1)}'/>{drawn}{legend}{ticks}"
        "<text class='tick' x='160' y='272' text-anchor='middle'>requested</text></svg>"
    )


def _points(found: Sequence[Deviation], errors: Sequence[float]) -> str:
    pairs = [(item.ratio, item.ratio + error) for item, error in zip(found, errors, strict=True)]
    return " ".join(f"{_x(ratio):.1f},{_y(share):.1f}" for ratio, share in pairs)


def _x(share: float) -> float:
    return 40 + 240 * share


def _y(share: float) -> float:
    return 240 - 230 * min(share, 1.0)


def _section(title: str, text: str, body: str) -> str:
    return f"<section><h3>{escape(title)}</h3><p>{escape(text)}</p>{body}</section>"


def _windows_of(scored: ScoredText) -> int:
    return sum(bool(chunk.lengths.sum()) for chunk in scored.chunks)
