"""How the differences of lengths kept are shown."""

from __future__ import annotations

from latent_core.evaluation.arm_comparisons import Pair
from latent_core.evaluation.deviation_differences import DeviationDifference
from latent_core.evaluation.statistics import Estimate
from latent_core.report.length_tables import compared, deviations_table


def _row(low: float, high: float) -> list[str]:
    found = DeviationDifference(
        pair=Pair("arm", "control"),
        difference=Estimate(-0.1, -0.15, -0.05),
        adjusted=Estimate(-0.1, low, high),
        p=0.012,
        adjusted_p=0.024,
        each_seed=(-0.09, -0.12, 0.001),
    )
    (row,) = deviations_table([found]).rows
    return row


def test_row_has_both_intervals_holms_p_and_every_seed() -> None:
    assert _row(-0.19, -0.01) == [
        *("arm", "control", "−0.100", "−0.150 to −0.050", "−0.190 to −0.010", "p = 0.024", "−0.090, −0.120, +0.001"),
        "nearer",
    ]


def test_conclusion_is_what_the_adjusted_interval_supports() -> None:
    assert [_row(*ends)[-1] for ends in ((0.01, 0.2), (-0.3, 0.0), (0.0, 0.1))] == [
        "further away", "no difference shown", "no difference shown",
    ]  # fmt: skip


def test_legend_says_what_is_better_and_how_many_are_corrected_together() -> None:
    assert "below 0 the arm is nearer to them" in compared(11) and "the 11 differences of this table" in compared(11)
