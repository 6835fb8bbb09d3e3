"""The report of a comparison of arms as one HTML file that needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from latent_core.evaluation.arm_comparisons import Matching
from latent_core.evaluation.hypervolume import REFERENCE_FACTOR
from latent_core.report.comparison import Comparison
from latent_core.report.comparison_plots import FIGURES
from latent_core.report.comparison_tables import ARMS, BY_RATIO, COMPRESSIONS, INTERVENTIONS, LEVELS, plain_table
from latent_core.report.entries import Provenance
from latent_core.report.html import STYLE, inline_svg
from latent_core.report.length_tables import LEGENDS
from latent_core.report.numbers import decimal, percent, whole
from latent_core.report.table import Results

TEMPLATE = Path(__file__).with_name("comparison.html.jinja")


class Section(NamedTuple):
    """A table of the page."""

    title: str
    anchor: str
    legend: str
    table: Results


def render_comparison(
    comparison: Comparison,
    shown: Mapping[str, Results],
    figures: Mapping[str, bytes],
    *,
    notes: Sequence[str],
    provenance: Provenance,
) -> str:
    """The page of these tables and figures. The same input gives the same text; all text is escaped."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        style=Markup(STYLE.read_text(encoding="utf-8")),
        title=comparison.title,
        subtitle=_subtitle(comparison),
        notes=notes,
        sections=[Section(title, _anchor(title), legend(comparison, title), table) for title, table in shown.items()],
        figures=[(name, FIGURES[name], inline_svg(name, svg, FIGURES[name])) for name, svg in figures.items()],
        provenance=plain_table([dict(row) for row in provenance.rows]),
        environment=dict(provenance.environment),
    )


def legend(comparison: Comparison, title: str) -> str:
    """What a reader must know of a table's numbers."""
    untrained = comparison.untrained
    if title in LEGENDS:
        return LEGENDS[title]
    if title == ARMS:
        return (
            "Accuracy in percent: mean over seeds ± their standard deviation. Learn: parameters that training moves. "
            f"AES (arXiv 2501.12570) is relative to the untrained model ({percent(untrained.accuracy)}, "
            f"{decimal(untrained.output)} tokens); the best is the highest of all ratios, chosen on these questions. "
            "Hypervolume: share of the plane that is dominated, with the "
            f"reference point at accuracy 0 and {decimal(untrained.hypervolume_reference)} reasoning "
            f"tokens ({REFERENCE_FACTOR:g} times the untrained model's), and its 95 % interval. MRD: mean relative "
            "deviation |n − n*| / n* of reasoning tokens, n* being the ratio times the same model's tokens for the "
            "same question at ratio 1; over budget: n > n*; both over the ratios below 1. Slope of mean reasoning "
            "tokens on the ratio, in shares of those at ratio 1: 1 is obedience, 0 none. Spearman: mean rank "
            "correlation of tokens with the ratio, per question."
        )
    if title == BY_RATIO:
        return (
            "The 95 % interval of the accuracy is over seeds and questions. Reasoning ratio: mean "
            "reasoning tokens over those at ratio 1; reasoning that never ends counts with its whole length."
        )
    if title == INTERVENTIONS:
        return (
            "Accuracy where the model answers after its reasoning was replaced: emptied, by as many random tokens, "
            "or by its reasoning about another question. Follows: answers that are the other question's, in percent "
            "of those where the two differ. A model that does not read its reasoning loses nothing and follows nothing."
        )
    if title == COMPRESSIONS:
        return (
            "What compression left of the training texts. Recoverability: mean log-probability of the right answer "
            "after question and compressed text under the untrained model, nats a token; ratio 1 is the whole text, "
            "ratio 0 none. Shares of numbers and answers kept, and of equations that were broken."
        )
    if title == LEVELS:
        return "Percent, mean over seeds ± standard deviation. The levels of word problems are their numbers of steps."
    if title.endswith(Matching.MEAN):
        return (
            "The main comparison, one number a pair: at equal reasoning tokens, on average over the tokens that both "
            f"arms reach. {_corrected(comparison)}"
        )
    if title.endswith(Matching.RATIO):
        return f"Arms asked for the same ratio, which may write different lengths. {_corrected(comparison)}"
    if title.endswith(Matching.TOKENS):
        return (
            "Arms at equal reasoning tokens, read off straight lines between their ratios, never beyond their ends; "
            f"“not both there” where one of them has no point. {_corrected(comparison)}"
        )
    return ""


def _corrected(comparison: Comparison) -> str:
    return (
        "Points of accuracy, arm minus control, paired by seed and question; intervals are Student's, with "
        f"variances bootstrapped over seeds and questions ({whole(comparison.resamples)} resamples). Holm's correction "
        "is over all rows of this table, and the conclusion is what the adjusted interval supports; equivalent: it "
        f"lies within ±{100 * comparison.margin:g} points. McNemar's test pools seeds as if they held different "
        "questions."
    )


def _subtitle(comparison: Comparison) -> str:
    seeds = sorted({len(arm.seeds) for arm in comparison.arms})
    questions = sorted({arm.questions for arm in comparison.arms})
    return f"{len(comparison.arms)} arms, {_range(seeds)} seeds each, {_range(questions)} questions"


def _range(counts: Sequence[int]) -> str:
    return whole(counts[0]) if len(counts) == 1 else f"{whole(counts[0])} to {whole(counts[-1])}"


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
