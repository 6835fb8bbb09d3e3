"""The phase machine: allowed sets, phases of prompts, violations."""

from __future__ import annotations

import numpy as np
import pytest

from latent_core.dual import DualVocabulary, Phase, PhaseMachine

# Visible 0..9: 0 eos, 8 <think>, 9 </think>; latents 10..14 mirror 1..5.
VOCABULARY = DualVocabulary(10, (1, 2, 3, 4, 5), think_start_id=8, think_end_id=9, eos_ids=(0,))
MACHINE = PhaseMachine(VOCABULARY)


def allowed_ids(machine: PhaseMachine, phase: Phase) -> list[int]:
    return [int(token) for token in np.flatnonzero(machine.allowed[phase])]


def test_allowed_sets_follow_the_phase() -> None:
    assert allowed_ids(MACHINE, Phase.START) == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert allowed_ids(MACHINE, Phase.THINK) == [9, 10, 11, 12, 13, 14]
    assert allowed_ids(MACHINE, Phase.ANSWER) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert allowed_ids(MACHINE, Phase.PLAIN) == list(range(10))


def test_allowed_eos_in_think_only_when_configured() -> None:
    assert allowed_ids(PhaseMachine(VOCABULARY, eos_in_think=True), Phase.THINK) == [0, 9, 10, 11, 12, 13, 14]


def test_allowed_reference_clones_of_eos_and_think_are_never_sampled() -> None:
    everything = DualVocabulary(10, tuple(range(10)), 8, 9, (0,))
    assert allowed_ids(PhaseMachine(everything), Phase.THINK) == [9, *range(11, 18)]


@pytest.mark.parametrize(
    ("prompt", "phase"),
    [
        ([], Phase.START),
        ([1, 2], Phase.START),
        ([1, 8, 2], Phase.THINK),
        ([8, 1, 9, 2], Phase.ANSWER),
        ([8, 1, 9, 2, 8], Phase.THINK),
        ([9], Phase.ANSWER),
    ],
)
def test_phase_of_prompt_last_think_token_decides(prompt: list[int], phase: Phase) -> None:
    assert MACHINE.phase_of_prompt(prompt) is phase


def test_violations_each_forbidden_position_is_found() -> None:
    assert MACHINE.violations([1], [2, 8, 10, 14, 9, 3, 0]).tolist() == []
    # latent before think; visible, then eos in think; latent, think and a second </think> in the answer
    assert MACHINE.violations([1], [11, 8, 3, 0, 9, 12, 8]).tolist() == [0, 2, 3, 5, 6]
    assert MACHINE.violations([1, 8], [10, 9, 9]).tolist() == [2]
    assert MACHINE.violations([1, 8], [2, 9, 3, 10], start=Phase.PLAIN).tolist() == [3]
    assert MACHINE.violations([1], [8, 3]).tolist() == [1]
    assert MACHINE.violations([], [8, 2, 9, 8], start=Phase.PLAIN).tolist() == []


def test_allowed_table_which_all_rows_share_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        MACHINE.allowed[0, 0] = True


def test_torch_table_is_made_once_a_device() -> None:
    assert MACHINE.forbidden_on("cpu") is MACHINE.forbidden_on("cpu")
    assert (~MACHINE.forbidden_on("cpu").numpy() == MACHINE.allowed).all()


def test_machine_by_default_pushes_no_token() -> None:
    assert MACHINE.end_bias == 0  # a bias changes what is sampled, and belongs in every report
    assert PhaseMachine(VOCABULARY, end_bias=1.5).end_bias == 1.5
