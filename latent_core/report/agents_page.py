"""The report of agents as one HTML file that needs nothing else: no network, no script, figures inline."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from latent_core.report.agents import Agents
from latent_core.report.agents_plots import FIGURES
from latent_core.report.agents_tables import arms_table, differences_table, number
from latent_core.report.comparison_tables import plain_table
from latent_core.report.entries import Provenance
from latent_core.report.episodes import ShownEpisode
from latent_core.report.html import STYLE
from latent_core.report.inline import inline_svg

if TYPE_CHECKING:
    from markupsafe import Markup

_MARK = re.compile(r"(<\|[^|<>\s]{1,40}\|>|</?think>)")
TEMPLATE = Path(__file__).with_name("agents.html.jinja")


def render_agents(
    agents: Agents,
    figures: Mapping[str, bytes],
    episodes: Mapping[str, Sequence[ShownEpisode]],
    *,
    subtitle: str,
    notes: Sequence[str],
    provenance: Provenance,
) -> str:
    """The page; `episodes` by the model that played them. The same input gives the same text; all text is escaped."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"marked": _marked, "number": number}
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        style=Markup(STYLE.read_text(encoding="utf-8")),
        title=agents.title,
        subtitle=subtitle,
        arms=arms_table(agents),
        differences=differences_table(agents),
        notes=notes,
        figures=[(name, FIGURES[name], inline_svg(name, svg, FIGURES[name])) for name, svg in figures.items()],
        episodes={name: list(found) for name, found in episodes.items() if found},
        provenance=plain_table([dict(row) for row in provenance.rows]),
        environment=dict(provenance.environment),
    )


def _marked(text: str) -> Markup:
    """Escaped, with what looks like a control token set apart from what was said."""
    from markupsafe import Markup, escape

    pieces = enumerate(_MARK.split(text))  # every second piece is a mark
    return Markup("").join(
        Markup('<span class="mark">{}</span>').format(piece) if place % 2 else escape(piece) for place, piece in pieces
    )
