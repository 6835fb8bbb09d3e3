"""The tables of a comparison of arms, as text: for the page, for Markdown and for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from latent_core.evaluation.arm_comparisons import Difference, Matching
from latent_core.evaluation.arm_measures import ArmMeasures, AtRatio, Spread
from latent_core.evaluation.multiple import verdict_text
from latent_core.evaluation.statistics import Estimate
from latent_core.report.comparison import INTERVENTIONS, KEPT, ArmResult, Comparison
from latent_core.report.length_tables import BETWEEN, LENGTHS, deviations_table, length_tables
from latent_core.report.numbers import DASH, MINUS, decimal, free, label, p_value, percent, points, whole
from latent_core.report.table import Results, markdown_table, read_markdown

if TYPE_CHECKING:
    from rich.table import Table

ARMS, BY_RATIO, LEVELS, BASELINES = "Arms", "Arms by ratio", "Accuracy by level", "Untrained model"
COMPRESSIONS = "Compressions"


def tables(comparison: Comparison) -> dict[str, Results]:
    """Every table by its title, in the order of the page; those without rows are left out."""
    found = {ARMS: arms_table(comparison), BY_RATIO: by_ratio_table(comparison)} | length_tables(comparison.lengths)
    found |= {family.table: deviations_table(family.differences) for family in comparison.length_families}
    for family in comparison.families:
        by_matching = zip(Matching, (family.on_average, family.at_ratios, family.at_tokens), strict=True)
        found |= {f"{family.title} at {name}": differences_table(rows, comparison.margin) for name, rows in by_matching}
    found[INTERVENTIONS] = interventions_table(comparison)
    found[LEVELS] = levels_table(comparison.arms)
    found[BASELINES] = baselines_table(comparison)
    found[COMPRESSIONS] = plain_table(comparison.compressions)
    return {title: table for title, table in found.items() if table.rows}


def arms_table(comparison: Comparison) -> Results:
    """One row an arm: accuracy at each ratio, and what is measured of the whole curve."""
    ratios = _ratios(comparison.arms)
    titles = ["Arm", "Learn", "Seeds", *(f"{ratio:g}" for ratio in ratios)]
    titles += ["Best AES 1/3/5", "Hypervolume", "MRD", "Over budget", "Slope", "Spearman"]
    rows = []
    for arm in comparison.arms:
        at = {item.ratio: item for item in arm.measures.at}
        cells = [arm.name, _count(arm.learn), str(len(arm.seeds))]
        cells += [spread_cell(at[ratio].accuracy) if ratio in at else DASH for ratio in ratios]
        rows.append([*cells, _best_aes(arm.measures), *_curve_cells(arm.measures)])
    return Results(titles, [False] + [True] * (len(titles) - 1), rows)


def by_ratio_table(comparison: Comparison) -> Results:
    """One row an arm and ratio, with lengths and both AES."""
    titles = ["Arm", "Ratio", "Accuracy", "95 %", "Each seed", "Reasoning tokens", "Reasoning ratio", "All tokens"]
    titles += ["AES 1/3/5", "AES 1/5/10", "MRD", "Over budget"]
    rows = [_at_cells(arm.name, item) for arm in comparison.arms for item in arm.measures.at]
    return Results(titles, [False] + [True] * (len(titles) - 1), rows)


def differences_table(differences: Sequence[Difference], margin: float) -> Results:
    """One row a pair and ratio or budget; what could not be compared has dashes."""
    titles = [
        "Arm",
        "Against",
        "At",
        "Difference",
        "95 %",
        "Holm's interval",
        "Holm's p",
        "McNemar, Holm",
        "Conclusion",
    ]
    rows = []
    for item in differences:
        cells = [item.pair.arm, item.pair.control, at_cell(item)]
        if item.difference is None or item.adjusted is None or item.adjusted_p is None or item.verdict is None:
            rows.append([*cells, *[DASH] * 5, "not both there"])
            continue
        mcnemar = DASH if item.mcnemar is None else p_value(item.mcnemar.adjusted_p)
        cells += [points(item.difference.value), interval_cell(item.difference), interval_cell(item.adjusted)]
        rows.append([*cells, p_value(item.adjusted_p), mcnemar, verdict_text(item.verdict, margin)])
    return Results(titles, [False, False, False, *[True] * 5, False], rows)


def interventions_table(comparison: Comparison) -> Results:
    """One row an arm, what stands in the place of its reasoning, and ratio; its own has no difference."""
    titles = ["Arm", "Reasoning", "Ratio", "Evaluated", "After it", "Own − this", "95 %", "Holm's interval", "Holm's p"]
    titles += ["Follows", "Own is"]
    rows = []
    for item in comparison.interventions:
        follows = DASH if item.follows is None else spread_cell(item.follows)
        cells = [item.arm, item.reasoning, f"{item.ratio:g}", spread_cell(item.evaluated), spread_cell(item.accuracy)]
        found = item.difference
        if found is None:
            rows.append([*cells, *[DASH] * 4, follows, DASH])
            continue
        assert found.difference is not None and found.adjusted is not None
        assert found.adjusted_p is not None and found.verdict is not None
        cells += [points(found.difference.value), interval_cell(found.difference), interval_cell(found.adjusted)]
        rows.append([*cells, p_value(found.adjusted_p), follows, verdict_text(found.verdict, comparison.margin)])
    return Results(titles, [False, False, *[True] * 8, False], rows)


def levels_table(arms: Sequence[ArmResult]) -> Results:
    """One row an arm and ratio, one column a level."""
    names = sorted({level for arm in arms for levels in arm.levels.values() for level in levels})
    rows = [
        [arm.name, f"{ratio:g}", *(spread_cell(levels[name]) if name in levels else DASH for name in names)]
        for arm in arms
        for ratio, levels in arm.levels.items()
        if levels
    ]
    return Results(["Arm", "Ratio", *names], [False, *[True] * (len(names) + 1)], rows)


def baselines_table(comparison: Comparison) -> Results:
    """The untrained model and its baselines."""
    titles = ["Condition", "Accuracy", "Reasoning tokens", "All tokens", "AES 1/3/5", "AES 1/5/10"]
    rows = [
        [item.condition, percent(item.accuracy), decimal(item.reasoning), decimal(item.output)]
        + [_score(item.aes[name]) for name in titles[4:]]
        for item in comparison.baselines
    ]
    return Results(titles, [False] + [True] * 5, rows)


def plain_table(rows: Sequence[object]) -> Results:
    """Rows that are mappings, with their keys as headings."""
    maps = [row for row in rows if isinstance(row, dict)]
    keys = list(dict.fromkeys(key for row in maps for key in row))
    number = [all(row.get(key) is None or isinstance(row.get(key), int | float) for row in maps) for key in keys]
    return Results([label(key) for key in keys], number, [[free(row.get(key)) for key in keys] for row in maps])


def markdown(title: str, shown: dict[str, Results]) -> str:
    """All tables under their titles; `read_sections` is the inverse."""
    parts = [f"# {title}\n"]
    parts += [f"## {name}\n\n{markdown_table(table)}" for name, table in shown.items()]
    return "\n".join(parts)


def read_sections(text: str) -> dict[str, Results]:
    """The tables that `markdown` wrote, by title."""
    found = {}
    for section in text.split("\n## ")[1:]:
        name, _, body = section.partition("\n")
        found[name] = read_markdown(body.strip())
    return found


def terminal_tables(shown: Mapping[str, Results]) -> list[Table]:
    """For a terminal: the arms, whether they kept their lengths, and every table of differences."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    found = []
    for title, table in shown.items():
        if title not in (ARMS, LENGTHS, BETWEEN) and not title.endswith((*Matching, KEPT)):
            continue
        drawn = Table(title=Text(title), box=box.SIMPLE_HEAD, pad_edge=False)
        for name, number in zip(table.titles, table.number, strict=True):
            drawn.add_column(Text(name), justify="right" if number else "left")
        for row in table.rows:
            drawn.add_row(*map(Text, row))
        found.append(drawn)
    return found


def at_cell(item: Difference) -> str:
    """Where a pair is compared: ratio 0.5, 82 tokens, 60 to 110 tokens."""
    if item.ratio is not None:
        return f"ratio {item.ratio:g}"
    if item.low_tokens is None or item.high_tokens is None:
        return DASH
    if item.low_tokens == item.high_tokens:
        return f"{decimal(item.low_tokens)} tokens"
    if item.low_tokens > item.high_tokens:
        return "no tokens in common"
    return f"{decimal(item.low_tokens)} to {decimal(item.high_tokens)} tokens"


def spread_cell(spread: Spread) -> str:
    """83.0 ± 2.1, in percent."""
    return f"{percent(spread.mean, unit='')} ± {percent(spread.sd, unit='')}"


def interval_cell(estimate: Estimate) -> str:
    """−1.0 to +3.2, in points."""
    return f"{points(estimate.low)} to {points(estimate.high)}"


def _at_cells(name: str, item: AtRatio) -> list[str]:
    low, high = item.accuracy_interval.low, item.accuracy_interval.high
    return [
        name,
        f"{item.ratio:g}",
        spread_cell(item.accuracy),
        f"{percent(low, unit='')} to {percent(high, unit='')}",
        ", ".join(percent(accuracy, unit="") for accuracy in item.accuracy.each_seed),
        f"{decimal(item.reasoning.mean)} ± {decimal(item.reasoning.sd)}",
        _two(item.reasoning_ratio),
        f"{decimal(item.output.mean)} ± {decimal(item.output.sd)}",
        *(_score(item.aes[weights]) for weights in ("AES 1/3/5", "AES 1/5/10")),
        _two(item.deviation),
        DASH if item.over_budget is None else percent(item.over_budget),
    ]


def _curve_cells(measures: ArmMeasures) -> list[str]:
    volume, slope = measures.hypervolume, measures.slope
    return [
        DASH if volume is None else f"{volume.value:.3f} ({volume.low:.3f} to {volume.high:.3f})",
        _two(measures.deviation),
        DASH if measures.over_budget is None else percent(measures.over_budget),
        DASH if slope is None else _two(slope.value),
        _two(measures.spearman),
    ]


def _best_aes(measures: ArmMeasures) -> str:
    scores = [(item.aes["AES 1/3/5"], item.ratio) for item in measures.at]
    known = [(score, ratio) for score, ratio in scores if score is not None]
    if not known:
        return DASH
    score, ratio = max(known)
    return f"{_score(score)} at {ratio:g}"


def _ratios(arms: Sequence[ArmResult]) -> list[float]:
    return sorted({ratio for arm in arms for ratio in arm.ratios}, reverse=True)


def _count(value: int | None) -> str:
    return DASH if value is None else whole(value)


def _two(value: float | None) -> str:
    return DASH if value is None else f"{value:.2f}".replace("-", MINUS)


def _score(value: float | None) -> str:
    return DASH if value is None else f"{value:+.2f}".replace("-", MINUS)
