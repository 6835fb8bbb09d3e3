"""The report of a comparison of arms as one HTML file that needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from latent_core.evaluation.arm_comparisons import Matching
from latent_core.evaluation.hypervolume import REFERENCE_FACTOR
from latent_core.report.comparison import INTERVENTIONS, Comparison
from latent_core.report.comparison_plots import FIGURES
from latent_core.report.comparison_tables import ARMS, BY_RATIO, COMPRESSIONS, LEVELS, plain_table
from latent_core.report.entries import Provenance
from latent_core.report.html import STYLE
from latent_core.report.inline import inline_svg
from latent_core.report.length_tables import LEGENDS, compared
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
    kept = {family.table: family for family in comparison.length_families}
    if title in kept:
        return " ".join(filter(None, [kept[title].question, compared(len(kept[title].differences))]))
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
            "Accuracy where the model answers after reasoning that was put there: its own, none, as many random "
            "tokens, or its reasoning about another question. Its own is put there as the others are, so that a "
            "difference is due to what it says. Evaluated: where it wrote on by itself; reasoning that never ended has "
            "no answer then. Follows: answers that are the other question's, in percent of those where the two differ. "
            "A model that does not read its reasoning loses nothing and follows nothing. "
            f"{_corrected(comparison, title, 'own reasoning minus this')}"
        )
    if title == COMPRESSIONS:
        return (
            "What compression left of the training texts. Recoverability: mean log-probability of the right answer "
            "after question and compressed text under the untrained model, nats a token; ratio 1 is the whole text, "
            "ratio 0 none; scored: the texts that it is the mean of, which fit the model's context at every ratio. "
            "Shares of numbers and answers kept, and of equations that were broken."
        )
    if title == LEVELS:
        return "Percent, mean over seeds ± standard deviation. The levels of word problems are their numbers of steps."
    questions = {f"{family.title} at {name}": family.question for family in comparison.families for name in Matching}
    if title not in questions:
        return ""
    corrected = _corrected(comparison, title, "arm minus control")
    if title.endswith(Matching.MEAN):
        what = (
            "The main comparison, one number a pair: at equal reasoning tokens, on average over the tokens that both "
            "arms reach."
        )
    elif title.endswith(Matching.RATIO):
        what = "Arms asked for the same ratio, which may write different lengths."
    else:
        what = (
            "Arms at equal reasoning tokens, read off straight lines between their ratios, never beyond their ends; "
            "“not both there” where one of them has no point."
        )
    pooled = "McNemar's test pools seeds as if they held different questions."
    return " ".join(filter(None, [questions[title], what, corrected, pooled]))


def _corrected(comparison: Comparison, title: str, difference: str) -> str:
    return (
        f"Points of accuracy, {difference}, paired by seed and question; intervals are Student's, with variances "
        f"bootstrapped over seeds and questions ({whole(comparison.resamples)} resamples). Holm's correction is over "
        f"the {comparison.corrected.get(title, 0)} differences of this table, and the conclusion is what the adjusted "
        f"interval supports; equivalent: it lies within ±{100 * comparison.margin:g} points."
    )


def _subtitle(comparison: Comparison) -> str:
    seeds = sorted({len(arm.seeds) for arm in comparison.arms})
    questions = sorted({arm.questions for arm in comparison.arms})
    return f"{len(comparison.arms)} arms, {_range(seeds)} seeds each, {_range(questions)} questions"


def _range(counts: Sequence[int]) -> str:
    return whole(counts[0]) if len(counts) == 1 else f"{whole(counts[0])} to {whole(counts[-1])}"


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
