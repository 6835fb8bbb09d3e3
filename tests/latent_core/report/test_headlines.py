"""Headlines of a report: claims that rest on a row, and none that a row contradicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from latent_core.evaluation.condition import Kind
from latent_core.evaluation.multiple import Verdict
from latent_core.report import Evaluation, build_entries
from latent_core.report.headlines import NONE, Headline, conclusion, headlines
from latent_core.report.paired import Paired, build_paired
from tests.support.evaluated import evaluated

QUESTIONS = 400
AGAINST_BASE, AGAINST_FULL = "within 3 points of the untrained model", "within 3 points of the same model at ratio 1"


def rows(right: Sequence[bool], tokens: int) -> list[dict[str, Any]]:
    return [
        {
            "question_id": f"q{place}", "sample_index": 0, "question": "?", "gold": "4", "level": None,
            "completion": "c", "reasoning": "r", "answer": "4", "verdict": "correct" if is_right else "wrong",
            "tokens": tokens + place % 7, "reasoning_tokens": tokens + place % 7, "latent_tokens": 0,
        }
        for place, is_right in enumerate(right)
    ]  # fmt: skip


def first(count: int, of: int = QUESTIONS) -> list[bool]:
    return [place < count for place in range(of)]


def found(made: Sequence[Evaluation]) -> tuple[Mapping[str, Headline], Paired]:
    paired = build_paired(made, resamples=500)
    return {item.title: item for item in headlines(build_entries(made), paired)}, paired


def titled(claims: Mapping[str, Headline], part: str) -> Headline:
    return next(item for title, item in claims.items() if part in title)


def run(base: int, full: int, half: int, questions: int = QUESTIONS) -> list[Evaluation]:
    """The first questions are right: those that both get right are the same ones."""
    return [
        evaluated("base", rows(first(base, questions), 200), Kind.UNTRAINED, 1.0),
        evaluated("standard", rows(first(full, questions), 200)),
        evaluated("standard", rows(first(half, questions), 100), ratio=0.5),
    ]


def test_headline_of_reasoning_saved_without_loss_names_row_and_interval() -> None:
    claims, _ = found(run(base=300, full=300, half=300))
    for part in (AGAINST_BASE, AGAINST_FULL):
        claim = titled(claims, part)
        assert claim.value == "49.3 %" and claim.is_number
        assert claim.detail.startswith("standard, ratio 0.5: saves ") and "0.0 points (−0.5 to +0.5)" in claim.detail


def test_headline_where_a_loss_is_not_excluded_says_none_shown_and_names_the_closest() -> None:
    """−2.5 points that no test calls significant once it has to: this stood under "no loss measured"."""
    claims, paired = found(run(base=300, full=300, half=290))
    claim = titled(claims, AGAINST_FULL)
    assert claim.value == NONE and not claim.is_number
    assert "Closest: standard, ratio 0.5, −2.5 points (" in claim.detail
    assert not paired.against_full[0].is_non_inferior


def test_headline_of_equal_answers_on_few_questions_claims_nothing() -> None:
    claims, paired = found(run(base=8, full=8, half=8, questions=8))
    assert titled(claims, AGAINST_BASE).value == titled(claims, AGAINST_FULL).value == NONE
    p = paired.against_full[0].noninferiority_p
    assert p is not None and p > 0.3


def test_headline_against_ratio_1_is_withheld_from_a_model_below_the_untrained_one() -> None:
    claims, paired = found(run(base=380, full=270, half=270))
    claim = titled(claims, AGAINST_FULL)
    assert paired.against_full[0].is_non_inferior
    assert claim.value == NONE and claim.rests_on is None
    assert "keeps the accuracy of its ratio 1, but is worse than the untrained model: −27.5 points" in claim.detail


def test_headline_of_a_model_that_saves_nothing_says_so() -> None:
    made = [evaluated("base", rows(first(300), 100), Kind.UNTRAINED, 1.0), evaluated("standard", rows(first(300), 100))]
    claims, _ = found(made)
    assert titled(claims, AGAINST_BASE).detail == "No trained model is shown to reason less than the untrained model."


@pytest.mark.parametrize(("dual", "value"), [(300, Verdict.UNDECIDED), (340, "+10.0 points")])
def test_headline_of_variants_is_a_number_only_where_a_difference_is_shown(dual: int, value: str) -> None:
    """Undecided: the difference of the two is noise of single questions either way."""
    swapped = first(300)
    swapped[280:320] = [not right for right in swapped[280:320]]
    made = run(base=380, full=300, half=300)
    for ratio, tokens in ((1.0, 200), (0.5, 100)):
        made.append(evaluated("dual", rows(first(dual) if dual != 300 else swapped, tokens), ratio=ratio))
    claims, _ = found(made)
    assert titled(claims, "Dual against standard").value == value


@pytest.mark.parametrize("seed", range(6))
def test_headline_never_stands_over_a_row_that_contradicts_it(seed: int) -> None:
    """Random models: whatever is claimed, its rows exclude the loss, and none shows its model below the base."""
    random = np.random.default_rng(seed)
    questions = int(random.choice([30, 200, 400]))
    hard = random.random(questions)

    def model(name: str, kind: Kind, ratio: float, skill: float) -> Evaluation:
        right = hard + 0.08 * random.standard_normal(questions) < skill
        return evaluated(name, rows(list(map(bool, right)), int(200 * ratio)), kind, ratio)

    made = [model("base", Kind.UNTRAINED, 1.0, 0.7)]
    for name in ("standard", "dual"):
        skill = float(random.choice([0.5, 0.7, 0.9]))
        made += [model(name, Kind.RATIO, ratio, skill - random.choice([0, 0.02]) * (ratio < 1)) for ratio in (1, 0.3)]
    claims, paired = found(made)
    against_base = {(row.difference.pair.arm, row.difference.ratio): row for row in paired.against_base}
    for claim in claims.values():
        row = claim.rests_on
        if row is None:
            assert "saved" not in claim.title or claim.value == NONE
            continue
        assert row.difference.difference is not None and row.difference.difference.low > -paired.margin
        assert row.reasoning is not None and row.reasoning.high < 1
        assert "not excluded" not in conclusion(row, paired.margin) and conclusion(row, paired.margin) != "worse"
        assert conclusion(against_base[row.difference.pair.arm, row.difference.ratio], paired.margin) != "worse"
