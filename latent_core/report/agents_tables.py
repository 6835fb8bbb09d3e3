"""The tables of a report of agents, as text: for the page, for Markdown and for the terminal."""

from __future__ import annotations

from latent_core.evaluation.statistics import Estimate
from latent_core.report.agents import Agents
from latent_core.report.numbers import DASH, MINUS, decimal, percent
from latent_core.report.table import Results


def arms_table(agents: Agents) -> Results:
    """One row an arm; what is not known has a dash."""
    titles = ["Arm", "Seeds", "Return", "95 %", "Interval over", "Each seed", "Success", "Format", "Turns"]
    titles += ["Tokens a turn", "Ends"]
    rows = [
        [
            row.arm,
            str(len(row.seeds)) if row.seeds else DASH,
            number(row.value),
            interval(row.interval),
            row.over if row.interval is not None else DASH,
            ", ".join(map(number, row.each_seed)) or DASH,
            _share(row.success),
            _share(row.format_rate),
            DASH if row.turns is None else decimal(row.turns),
            DASH if row.tokens_per_turn is None else decimal(row.tokens_per_turn),
            ", ".join(f"{end} {count}" for end, count in row.ends.items()) or DASH,
        ]
        for row in agents.arms()
    ]
    return Results(titles, [False, True, True, True, False, True, True, True, True, True, False], rows)


def differences_table(agents: Agents) -> Results:
    """One row a control."""
    rows = [
        ["trained", one.control, number(one.value), interval(one.interval), ", ".join(map(number, one.each_seed))]
        for one in agents.differences()
    ]
    titles = ["Arm", "Against", "Difference of return", "95 %", "Each seed"]
    return Results(titles, [False, False, True, True, True], rows)


def number(value: float) -> str:
    """A return: three decimals; what rounds to zero has no sign."""
    text = f"{value:.3f}"
    return "0.000" if text == "-0.000" else text.replace("-", MINUS)


def interval(estimate: Estimate | None) -> str:
    return DASH if estimate is None else f"{number(estimate.low)} to {number(estimate.high)}"


def _share(share: float | None) -> str:
    return DASH if share is None else percent(share)
