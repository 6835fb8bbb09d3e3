"""Views as HTML. Every text passes through `escape`, so nothing that a user or a model wrote can become markup."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from latent_core.boxes import scan_boxes
from latent_core.compress.alignment import AlignedWord, Alignment
from latent_core.ui.compression import CompressionView

# The page's HTML component reads its value through two template languages: their marks must not survive either.
_TEMPLATE_MARKS = str.maketrans({"{": "&#123;", "}": "&#125;", "$": "&#36;", "`": "&#96;", "\\": "&#92;", "@": "&#64;"})

_MATHS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"))
_CHOSEN = " class='chosen'"


def escape(text: str) -> str:
    """`text` for an element's content or a quoted attribute."""
    return html.escape(text).translate(_TEMPLATE_MARKS)


def with_boxes(text: str) -> str:
    r"""`text` as `escape` gives it, but a `\boxed{...}` is drawn as a box, without the `$` around it."""
    boxes = sorted(scan_boxes(text)[0], key=lambda box: box.opening)
    parts: list[str] = []
    place = 0
    for box in boxes:
        if box.opening < place:
            continue  # inside the one before
        before, end = text[place : box.opening], box.behind
        opened = next((pair for pair in _MATHS if before.endswith(pair[0]) and text.startswith(pair[1], end)), ("", ""))
        before, end = before.removesuffix(opened[0]), end + len(opened[1])
        parts += [escape(before), f"<span class='boxed'>{escape(text[box.start : box.end].strip())}</span>"]
        place = end
    return "".join([*parts, escape(text[place:])])


def diff(view: CompressionView) -> str:
    """The source with dropped words struck through; a word's tooltip has its probability and length."""
    parts: list[str] = []
    open_run: bool | None = None
    for word in view.alignment.words:
        gap = escape(word.gap)
        if word.kept != open_run:  # the gap between two runs is neither's: a line through it would look like a dash
            parts.append("" if open_run is None else _closing(open_run))
            parts.append(gap + ("<span class='kept'>" if word.kept else "<del>"))
            open_run, gap = word.kept, ""
        parts.append(f"{gap}<span title='{_facts(word)}'>{escape(word.word)}</span>")
    if open_run is not None:
        parts.append(_closing(open_run))
    parts.append(escape(view.alignment.tail))
    return f"<div class='text diff'>{''.join(parts)}</div>"


def heat_map(alignment: Alignment) -> str:
    """The source with every word shaded by its keep-probability, and the scale."""
    words = "".join(
        f"{escape(word.gap)}<span class='heat' style='--p:{word.keep_probability:.3f}' title='{_facts(word)}'>"
        f"{escape(word.word)}</span>"
        for word in alignment.words
    )
    steps = "".join(f"<span class='heat' style='--p:{step / 10:.1f}'>{step / 10:g}</span>" for step in range(0, 11, 2))
    scale = f"<div class='scale'><span>drop</span>{steps}<span>keep</span></div>"
    return f"{scale}<div class='text'>{words}{escape(alignment.tail)}</div>"


def counts(view: CompressionView, target: str) -> str:
    """The request beside what was kept, in encoder tokens and in those of the target model named `target`."""
    item = view.compressed
    words = view.alignment.words
    return (
        "<div class='facts'>"
        + _fact("requested", f"{view.ratio:g}", "of the tokens")
        + _fact(
            "encoder tokens",
            f"{view.encoder_share:.2f}",
            f"{item.encoder_tokens_after} of {item.encoder_tokens_before}",
        )
        + _fact(
            f"{target} tokens", f"{view.target_share:.2f}", f"{item.target_tokens_after} of {item.target_tokens_before}"
        )
        + _fact("words", f"{_share(words):.2f}", f"{sum(word.kept for word in words)} of {len(words)}")
        + "</div>"
    )


def compressed(view: CompressionView) -> str:
    """What the model would be trained to write."""
    return f"<div class='text result'>{escape(view.compressed.text)}</div>"


def side_by_side(views: Sequence[CompressionView], target: str, chosen: float) -> str:
    """One column a view, its counts and its diff; that of the ratio `chosen` is set off."""
    columns = "".join(
        f"<section{_CHOSEN if view.ratio == chosen else ''}><h4>{view.ratio:g}</h4>"
        f"<p class='small'>{_line(view, target)}</p>{diff(view)}</section>"
        for view in views
    )
    return f"<div class='columns'>{columns}</div>"


def problem(question: str, answer: str) -> str:
    """The question that a chain of thought answers, and the right answer."""
    return f"<div class='question'><p>{escape(question)}</p><p class='small'>answer: <b>{escape(answer)}</b></p></div>"


def note(text: str) -> str:
    """A remark in small print."""
    return f"<p class='small'>{escape(text)}</p>"


def error_note(text: str) -> str:
    """What went wrong, in the place of the result that could not be made."""
    return f"<p class='error'><b>That does not work.</b> {escape(text)}</p>"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A plain table; columns of numbers are aligned right."""
    lines = list(rows)
    number = [all(_looks_like_number(line[place]) for line in lines) for place in range(len(titles))]
    head = "".join(_cell("th", title, right) for title, right in zip(titles, number, strict=True))
    body = "".join(
        f"<tr>{''.join(_cell('td', value, right) for value, right in zip(line, number, strict=True))}</tr>"
        for line in lines
    )
    return f"<div class='wide'><table class='plain'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(tag: str, value: str, number: bool) -> str:
    return f"<{tag}{' class=number' if number else ''}>{escape(value)}</{tag}>"


def _looks_like_number(value: str) -> bool:
    return value.lstrip("+-").replace(".", "", 1).isdecimal()


def _closing(kept: bool) -> str:
    return "</span>" if kept else "</del>"


def _facts(word: AlignedWord) -> str:
    tokens = f"{word.tokens} encoder token{'' if word.tokens == 1 else 's'}"
    return f"P(keep) {word.keep_probability:.3f}, {tokens}, window {word.window + 1}"


def _fact(title: str, value: str, detail: str) -> str:
    return f"<div><span>{escape(title)}</span><b>{escape(value)}</b><span>{escape(detail)}</span></div>"


def _line(view: CompressionView, target: str) -> str:
    return escape(f"kept {view.encoder_share:.2f} in encoder tokens, {view.target_share:.2f} in {target} tokens")


def _share(words: Sequence[AlignedWord]) -> float:
    return sum(word.kept for word in words) / len(words) if words else 1.0
