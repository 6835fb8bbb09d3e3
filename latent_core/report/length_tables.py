"""The tables of a comparison of arms that were asked for lengths: kept or not, and at ratios that nobody trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from latent_core.evaluation.asked_lengths import AskedAt, AskedLengths
from latent_core.evaluation.deviation_differences import DeviationDifference
from latent_core.evaluation.statistics import Estimate
from latent_core.report.numbers import DASH, MINUS, decimal, p_value, percent, points, whole
from latent_core.report.table import Results

LENGTHS, LENGTHS_BY_RATIO = "Lengths asked for", "Lengths asked for by ratio"
BETWEEN = "Ratios never trained"
LEGENDS = {
    LENGTHS: (
        "Reasoning tokens against n*, the ratio times the start model's tokens for the same question at ratio 1. "
        "Borrowed: questions that the start model does not answer correctly after reasoning; their length is the mean "
        "of the others. "
        "MRD: mean relative deviation |n − n*| / n*, with its 95 % interval over seeds and questions; of means: that "
        "of mean n and mean n*; both over the ratios below 1. Slope of mean tokens, in shares of the start model's at "
        "ratio 1, on the ratio: 1 is obedience. Spearman: mean rank correlation of tokens with the ratio, per question."
    ),
    LENGTHS_BY_RATIO: (
        "As above. Answer tokens are all that are not reasoning: reasoning that is made shorter can move there. Less "
        "accurate: points of accuracy against the same arm at ratio 1, paired by seed and question."
    ),
    BETWEEN: (
        "Accuracy in percent at ratios that no training named, beside the straight line between the trained ratios "
        "around them; the difference in points, with its 95 % interval over seeds and questions."
    ),
}


_BETTER, _WORSE, _UNDECIDED = "nearer", "further away", "no difference shown"


def compared(differences: int) -> str:
    """The legend of a table of so many differences."""
    return (
        "Mean relative deviation (MRD) from the lengths asked for, of the arm minus the control's, paired by seed and "
        "question: below 0 the arm is nearer to them. Both are measured by the start model's lengths, over the ratios "
        "below 1. Intervals are the wider of two: Student's over the seeds' means, and Student's with variances "
        "bootstrapped over seeds and questions. Holm's correction is over the "
        f"{differences} differences of this table, and the conclusion is what the adjusted interval supports."
    )


def length_tables(lengths: Sequence[AskedLengths]) -> dict[str, Results]:
    """The three tables by title; without rows where no lengths were measured."""
    return {LENGTHS: _arms(lengths), LENGTHS_BY_RATIO: _by_ratio(lengths), BETWEEN: _between(lengths)}


def deviations_table(differences: Sequence[DeviationDifference]) -> Results:
    """One row a pair."""
    titles = ["Arm", "Against", "Difference in MRD", "95 %", "Holm's interval", "Holm's p", "Each seed", "Conclusion"]
    rows = [
        [
            *(item.pair.arm, item.pair.control, _signed(item.difference.value), _interval(item.difference, _signed)),
            *(_interval(item.adjusted, _signed), p_value(item.adjusted_p), ", ".join(map(_signed, item.each_seed))),
            _conclusion(item.adjusted),
        ]
        for item in differences
    ]
    return Results(titles, [False, False, *[True] * 5, False], rows)


def _conclusion(adjusted: Estimate) -> str:
    return _BETTER if adjusted.high < 0 else _WORSE if adjusted.low > 0 else _UNDECIDED


def _arms(lengths: Sequence[AskedLengths]) -> Results:
    titles = ["Arm", "Start", "Borrowed", "MRD", "95 %", "Of means", "Slope", "95 % of it", "Spearman"]
    rows = [
        [
            *(
                item.arm,
                item.start,
                whole(item.borrowed),
                _share(item.deviation.value),
                _interval(item.deviation, _share),
            ),
            *(_share(item.of_means), _share(item.slope.value), _interval(item.slope, _share), _share(item.spearman)),
        ]
        for item in lengths
    ]
    return Results(titles, [False, False, *[True] * 7], rows)


def _by_ratio(lengths: Sequence[AskedLengths]) -> Results:
    titles = ["Arm", "Ratio", "n*", "Reasoning tokens", "Answer tokens", "Of means", "MRD", "95 %", "Over budget"]
    titles += ["Less accurate", "95 % of it"]
    rows = [[item.arm, *_at(at)] for item in lengths for at in item.at]
    return Results(titles, [False, *[True] * 10], rows)


def _at(at: AskedAt) -> list[str]:
    loss = [DASH, DASH] if at.loss is None else [points(at.loss.value), _interval(at.loss, points)]
    return [
        f"{at.ratio:g}",
        decimal(at.target),
        decimal(at.reasoning),
        decimal(at.answer),
        _share(at.of_means),
        _share(at.deviation.value),
        _interval(at.deviation, _share),
        percent(at.over_budget),
        *loss,
    ]


def _between(lengths: Sequence[AskedLengths]) -> Results:
    titles = ["Arm", "Ratio", "Between", "Accuracy", "Interpolated", "Difference", "95 %"]
    rows = [
        [
            *(item.arm, f"{at.ratio:g}", f"{at.below:g} and {at.above:g}", percent(at.accuracy, unit="")),
            *(percent(at.interpolated, unit=""), points(at.difference.value), _interval(at.difference, points)),
        ]
        for item in lengths
        for at in item.between
    ]
    return Results(titles, [False, *[True] * 6], rows)


def _share(value: float) -> str:
    return f"{value:.3f}".replace("-", MINUS)


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", MINUS)


def _interval(estimate: Estimate, cell: Callable[[float], str]) -> str:
    return f"{cell(estimate.low)} to {cell(estimate.high)}"
