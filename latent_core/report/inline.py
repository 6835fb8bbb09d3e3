"""Figures as elements of a page: for wide and narrow screens, in colours that the page sets for light and dark."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from latent_core.evaluation.condition import BASE
from latent_core.report.plots import COLOURS, FIXED, INK, MUTED, RULE
from latent_core.report.training_plots import Figured

if TYPE_CHECKING:
    from markupsafe import Markup

THEME = Path(__file__).with_name("theme.css")
_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    "#eef1f4": "hair",  # grids
    "#e3e7eb": "frontier",
    "#ffffff": "paper",  # inside and around markers
    FIXED[BASE][0]: BASE,
    **{colour: f"series-{place}" for place, colour in enumerate(COLOURS)},
}


def inline_svg(name: str, svg: bytes, caption: str) -> Markup:
    """An SVG file as an element of the page: without prolog, scaled by the page, its ids made the page's own."""
    from markupsafe import Markup

    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = text.replace('href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    head, rest = text.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    label_text = escape(caption)
    return Markup(f'{head} role="img" aria-label="{label_text}">{rest}')  # matplotlib escapes the text of its elements


def themed(text: str) -> str:
    """Colours of the figures as the page's variables, which dark mode sets anew."""
    return re.sub(r"#[0-9a-f]{6}\b", lambda found: _variable(found[0]), text)


def theme_of_figures() -> str:
    """The stylesheet that sets the variables of `themed`, for light and dark."""
    return THEME.read_text(encoding="utf-8")


def both_widths(figured: Figured) -> list[tuple[str, Markup]]:
    """The figure as elements of the page, each with its class: for wide screens, and for narrow ones where it was
    drawn for them too."""
    from markupsafe import Markup

    drawn = [("on-wide" if figured.narrow else "on-any", figured.name, figured.svg)]
    if figured.narrow:
        drawn.append(("on-narrow", f"{figured.name}-narrow", figured.narrow))
    return [(css, Markup(themed(str(inline_svg(name, svg, figured.caption))))) for css, name, svg in drawn]


def _variable(colour: str) -> str:
    return f"var(--{_VARIABLES[colour]})" if colour in _VARIABLES else colour
