"""Length control: terms of constructed groups, a weight that follows from files alone, and what each step came to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from latent_core.config.lengths import LengthConfig
from latent_core.errors import InputError
from latent_core.rl.lengths import alpha_after
from latent_core.rl.rollouts.files import RolloutFiles
from latent_core.rl.rollouts.length_control import (
    ALPHA,
    CURVE_COLUMNS,
    LENGTH_TERM,
    REFERENCE,
    LengthControl,
    length_curve,
)
from latent_core.rl.rollouts.problem_rollouts import rollout_schema

REFERENCES = {"a": 100.0, "b": 200.0}


def _row(question: str, verdict: str, reasoning: int, ratio: float = 0.5) -> dict[str, Any]:
    return {
        "question_id": question,
        "verdict": verdict,
        "reasoning_tokens": reasoning,
        "tokens": reasoning + 15,
        "ratio": ratio,
    }


def _control(samples: int = 2, iterations: int = 1, **settings: Any) -> LengthControl:
    config = LengthConfig.model_validate({"reward": "gated", "alpha": 0.4} | settings)
    return LengthControl(config, REFERENCES, samples=samples, iterations=iterations)


def _files(folder: Path) -> RolloutFiles:
    return RolloutFiles(folder, rollout_schema(length=True))


def _write(files: RolloutFiles, step: int, rows: list[dict[str, Any]]) -> None:
    blank = dict.fromkeys(rollout_schema(length=True).names)
    files.write(step, [blank | row | {"step": step} for row in rows])


@pytest.mark.parametrize(
    ("reward", "terms"),
    [
        ("lcpo_exact", [-0.4 * 0.2, -0.4 * 1.0, 0.0, 0.0]),
        ("gated", [-0.4 * 0.2, 0.0, 0.0, 0.0]),
        ("lcpo_max", [-0.5 - 0.4 * 0.1, 0.0, 0.0, 0.0]),
        ("hmpo", [0.0, 0.0, 0.0, 0.0]),
    ],
)
def test_terms_of_two_groups_follow_their_own_targets(reward: str, terms: list[float], tmp_path: Path) -> None:
    """Question a was asked for 50 tokens; question b has no correct rollout."""
    rows = [_row("a", "correct", 60), _row("a", "wrong", 120), _row("b", "wrong", 10), _row("b", "truncated", 256)]
    weight = {} if reward == "hmpo" else {"alpha": 0.4}
    control = LengthControl(
        LengthConfig.model_validate({"reward": reward} | weight), REFERENCES, samples=2, iterations=1
    )
    control.add_terms(rows, 0, _files(tmp_path))
    assert [row[LENGTH_TERM] for row in rows] == pytest.approx(terms)
    assert [row[REFERENCE] for row in rows] == [100.0, 100.0, 200.0, 200.0]


def test_weight_of_every_step_follows_from_the_files_of_the_steps_before(tmp_path: Path) -> None:
    """Deviations are |n/100 - 0.5|; a control that begins anew at the last step finds the same weight."""
    lengths = [(90, 110), (60, 40), (50, 50), (80, 50)]
    settings = {"tolerance": 0.1, "rate": 0.5}
    control, files = _control(**settings), _files(tmp_path)
    weights = []
    for step, pair in enumerate(lengths):
        rows = [_row("a", "correct", tokens) for tokens in pair]
        control.add_terms(rows, step, files)
        weights.append(rows[0][ALPHA])
        _write(files, step, rows)
    deviations = [0.5, 0.1, 0.0, 0.15]
    assert weights == pytest.approx([alpha_after(deviations[:step], 0.4, 0.1, 0.5) for step in range(4)])
    assert weights[1] == pytest.approx(0.6) and weights[3] == pytest.approx(0.55)
    assert _control(**settings).weight(3, _files(tmp_path)) == weights[3]


def test_weight_under_several_steps_on_the_same_rollouts_reads_the_files_that_there_are(tmp_path: Path) -> None:
    files = _files(tmp_path)
    _write(files, 0, [_row("a", "correct", 150) | {ALPHA: 0.4, REFERENCE: 100.0, LENGTH_TERM: 0.0}])
    assert _control(iterations=2, tolerance=0.1, rate=0.5).weight(2, files) == pytest.approx(0.4 + 0.5 * 0.9)


def test_weight_without_a_rate_is_fixed_and_reads_no_files(tmp_path: Path) -> None:
    assert _control().weight(7, _files(tmp_path)) == 0.4


def test_question_without_a_reference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="references: have no length for question c"):
        _control().add_terms([_row("c", "correct", 1)] * 2, 0, _files(tmp_path))


def test_curve_tells_every_steps_spreads_deviation_and_both_kinds_of_tokens(tmp_path: Path) -> None:
    rows = [_row("a", "correct", 50), _row("a", "wrong", 100), _row("b", "correct", 150), _row("b", "correct", 100)]
    _control().add_terms(rows, 0, _files(tmp_path))
    late = [row | {"step": 3, ALPHA: 0.9, "tokens": row["reasoning_tokens"] + 40} for row in rows]
    first, last = length_curve([row | {"step": 0} for row in rows] + late, samples=2)
    assert set(CURVE_COLUMNS) <= late[0].keys()
    # Terms are 0, 0 and -0.4 * 0.5, 0; deviations 0, 0.5, 0.25, 0.
    assert first == pytest.approx(
        {
            "step": 0, "alpha": 0.4, "mean_deviation": 0.1875, "accuracy_spread": 0.25, "length_spread": 0.05,
            "correct": 0.75, "reasoning_tokens": 100.0, "answer_tokens": 15.0,
        }
    )  # fmt: skip
    assert (last["step"], last["alpha"], last["answer_tokens"]) == (3, 0.9, 40.0)
