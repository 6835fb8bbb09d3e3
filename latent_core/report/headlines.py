"""The headlines of a report. Each is a claim that a row of its tables supports, or says that none does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from latent_core.evaluation.arm_comparisons import Difference
from latent_core.evaluation.multiple import Verdict
from latent_core.report.entries import ReportEntry
from latent_core.report.names import full_name
from latent_core.report.numbers import decimal, p_value, percent, points
from latent_core.report.paired import STANDARD, Kept, Paired

NONE = "none shown"


@dataclass(frozen=True)
class Headline:
    """What it is about, its value, whose it is. `rests_on`: the row that a claim of saved reasoning is read from, None
    where nothing is claimed."""

    title: str
    value: str
    detail: str
    rests_on: Kept | None = None

    @property
    def is_number(self) -> bool:
        return self.value[:1] in "0123456789+−"


def headlines(entries: Sequence[ReportEntry], paired: Paired) -> list[Headline]:
    """Best accuracy; reasoning saved without a loss of the margin, against the untrained model and against ratio 1;
    the dual model against the standard one.

    Answers after a replaced reasoning are no way to reason, and not among them.
    """
    entries = [entry for entry in entries if not entry.condition.kind.intervenes]
    if not entries:
        return []
    found = [_best(entries)]
    if paired.against_base:
        found.append(_saved("the untrained model", paired.against_base, paired.margin))
    if paired.against_full:
        found.append(_saved_of_itself(paired))
    main = [item for item in paired.at_tokens if item.pair.control == STANDARD and item.difference is not None]
    dual = [item for item in main if item.pair.arm == "dual"] or main
    return [*found, _variant(dual[0])] if dual else found


def conclusion(kept: Kept, margin: float) -> str:
    """What a row says, for its table."""
    limit = f"{100 * margin:g} points"
    if kept.difference.verdict is Verdict.BETTER:
        return "better"
    if kept.difference.verdict is Verdict.WORSE:
        return f"worse, by less than {limit}" if kept.is_non_inferior else "worse"
    return f"non-inferior within {limit}" if kept.is_non_inferior else "loss not excluded"


def _best(entries: Sequence[ReportEntry]) -> Headline:
    best = max(entries, key=lambda entry: (entry.summary.accuracy.value, -entry.summary.tokens.value))
    _, low, high = (percent(bound, unit="") for bound in best.summary.accuracy)
    detail = f"{full_name(best.condition)} ({low} to {high}), {decimal(best.summary.tokens.value)} tokens"
    return Headline("Best accuracy", percent(best.summary.accuracy.value), detail)


def _saved(control: str, rows: Sequence[Kept], margin: float) -> Headline:
    """The most reasoning saved by a row that is non-inferior; the closest one where there is none."""
    title = f"Most reasoning saved, accuracy within {100 * margin:g} points of {control}"
    shorter = [row for row in rows if row.saves]
    if not shorter:
        return Headline(title, NONE, f"No trained model is shown to reason less than {control}.")
    shown = [row for row in shorter if row.is_non_inferior]
    if not shown:
        closest = max(shorter, key=lambda row: row.difference.difference.low if row.difference.difference else -1.0)
        detail = f"No shorter reasoning is shown to lose less. Closest: {_who(closest)}, {_points(closest.difference)}."
        return Headline(title, NONE, detail)
    best = min(shown, key=lambda row: row.reasoning.value if row.reasoning else 1.0)
    assert best.reasoning is not None
    low, high = percent(1 - best.reasoning.high, unit=""), percent(1 - best.reasoning.low)
    detail = f"{_who(best)}: saves {low} to {high}, {_points(best.difference)}"
    return Headline(title, percent(1 - best.reasoning.value), detail, best)


def _saved_of_itself(paired: Paired) -> Headline:
    """The same against ratio 1; a row that is worse than the untrained model claims nothing, unless it is shown to lose
    less than the margin: the difference stands beside its claim."""
    against_base = {(row.difference.pair.arm, row.difference.ratio): row for row in paired.against_base}

    def is_below_base(row: Kept) -> bool:
        other = against_base.get((row.difference.pair.arm, row.difference.ratio))
        return other is not None and other.difference.verdict is Verdict.WORSE and not other.is_non_inferior

    keeping = [row for row in paired.against_full if not is_below_base(row)]
    found = _saved("the same model at ratio 1", keeping, paired.margin)
    if found.rests_on is not None:
        other = against_base.get((found.rests_on.difference.pair.arm, found.rests_on.difference.ratio))
        more = "" if other is None else f"; against the untrained model {_points(other.difference)}"
        return Headline(found.title, found.value, found.detail + more, found.rests_on)
    below = [row for row in paired.against_full if row.saves and row.is_non_inferior and is_below_base(row)]
    if below:
        row = min(below, key=lambda row: row.reasoning.value if row.reasoning else 1.0)
        other = against_base[row.difference.pair.arm, row.difference.ratio]
        detail = (
            f"{_who(row)} keeps the accuracy of its ratio 1, but is worse than the untrained model: "
            f"{_points(other.difference)}."
        )
        return Headline(found.title, NONE, detail)
    return _saved("the same model at ratio 1", paired.against_full, paired.margin)


def _variant(item: Difference) -> Headline:
    assert item.difference is not None and item.adjusted_p is not None
    title = f"{item.pair.arm} against {item.pair.control}, at equal reasoning tokens"
    shown = item.verdict in (Verdict.BETTER, Verdict.WORSE)
    value = f"{points(item.difference.value)} points" if shown else str(item.verdict)
    return Headline(title[:1].upper() + title[1:], value, f"{_points(item)}, Holm’s {p_value(item.adjusted_p)}")


def _who(row: Kept) -> str:
    return f"{row.difference.pair.arm}, {row.condition}"


def _points(item: Difference) -> str:
    """−5.0 points (−10.3 to +0.3)."""
    if item.difference is None:
        return "not compared"
    value, low, high = (points(bound) for bound in item.difference)
    return f"{value} points ({low} to {high})"
