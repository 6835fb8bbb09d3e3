"""A completion in progress as HTML: latent ids as chips whose reading appears under the pointer or the focus."""

from __future__ import annotations

from collections.abc import Sequence

from latent_core.ui.markup import escape, with_boxes
from latent_core.ui.playground import Part, Progress, Stretch

_STATES = {None: "writing …", "stop": "finished", "length": "cut at the limit"}


def players_side_by_side(states: Sequence[Progress]) -> str:
    """One column a model: who it is, its counts, and what it has written."""
    return f"<div class='columns players'>{''.join(map(_card, states))}</div>"


def _card(progress: Progress) -> str:
    vocabulary = progress.player.model.vocabulary
    first_latent = None if vocabulary is None else vocabulary.visible_size
    body = "".join(_stretch(stretch, first_latent) for stretch in progress.stretches)
    title = f"<h4>{escape(progress.player.name)}</h4><p class='small'>{escape(progress.player.remark)}</p>"
    return f"<section>{title}{_line(progress)}{body}</section>"


def _line(progress: Progress) -> str:
    tokens = len(progress.ids)
    thinking = sum(len(item.ids) for item in progress.stretches if item.part is not Part.ANSWER)
    latent = f", {progress.latent} of them latent" if progress.latent else ""
    return (
        f"<p class='small'><b>{tokens}</b> tokens, {thinking} of reasoning{latent} · "
        f"<span class='state'>{_STATES[progress.finish]}</span></p>"
    )


def _stretch(stretch: Stretch, first_latent: int | None) -> str:
    if stretch.part is Part.LATENT and first_latent is not None:
        chips = "".join(f"<i>{token - first_latent}</i>" for token in stretch.ids)
        text = escape(stretch.text.strip())
        return (
            f"<div class='latent' tabindex='0' title='{text}'><div class='codes' aria-hidden='true'>{chips}</div>"
            f"<div class='decoded text'>{text}</div></div>"
        )
    return f"<div class='text {stretch.part}'>{with_boxes(stretch.text.strip())}</div>"
