"""A training process that is killed for good, and training started again: nothing of the result may tell."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from latent_core.models.readable import ReadableModel
from latent_core.sft.checkpoints import newest_checkpoint
from tests.support.training_runs import (
    largest_difference,
    loss_curve,
    run,
    run_and_die,
    write_example_inputs,
)

KINDS: dict[str, dict[str, Any]] = {
    "lora": {"method": "lora"},
    "full": {"method": "full"},
    "dual": {"method": "lora", "latent_rows": "trainable"},
}


@pytest.mark.parametrize(
    "kind", ["dual", pytest.param("full", marks=pytest.mark.slow), pytest.param("lora", marks=pytest.mark.slow)]
)
def test_killed_training_started_again_equals_uninterrupted_training(
    kind: str,
    plain_dir: Path,
    dual_dir: Path,
    plain: ReadableModel,
    dual: ReadableModel,
    tmp_path: Path,
) -> None:
    model, directory = (dual, dual_dir) if kind == "dual" else (plain, plain_dir)
    # 10 examples in batches of 4: the third epoch is cut, and no epoch ends with a full batch.
    root = write_example_inputs(tmp_path / "runs", directory, model, training=10, validation=4)
    settings = KINDS[kind] | {"steps": 8, "eval_every": 3, "micro_batch_size": 2}
    whole = run(root, "whole", settings)
    assert run_and_die(root, "cut", settings, kill_at=5) == -signal.SIGKILL
    assert not (root / "cut/out/model").exists()
    result = run(root, "cut", settings)
    assert result.resumed_from_step == 3 and whole.resumed_from_step == 0
    losses, expected = loss_curve(result), loss_curve(whole)
    assert {entry[1] for entry in expected} == {"loss", "eval_loss"}
    assert [entry[:2] for entry in losses] == [entry[:2] for entry in expected]
    assert max(abs(one[2] - other[2]) for one, other in zip(losses, expected, strict=True)) <= 1e-6
    folder = "adapter" if KINDS[kind]["method"] == "lora" else "model"
    difference = largest_difference(root / "whole/out" / folder, root / "cut/out" / folder)
    print(f"{kind}: {folder} after SIGKILL at step 5 of 8, resumed from 3: largest difference {difference:.1e}")
    assert difference <= 1e-6
    assert largest_difference(root / "whole/out/model", root / "cut/out/model") <= 1e-6


def test_killed_training_with_a_validation_split_goes_on_from_the_step_that_save_every_saved(
    plain_dir: Path, plain: ReadableModel, tmp_path: Path
) -> None:
    root = write_example_inputs(tmp_path / "runs", plain_dir, plain, training=8, validation=4)
    settings: dict[str, Any] = {"steps": 8, "eval_every": 4, "save_every": 3}
    whole = run(root, "whole", settings)
    assert run_and_die(root, "cut", settings, kill_at=7) == -signal.SIGKILL
    newest = newest_checkpoint(root / "cut/checkpoints")
    assert newest is not None and newest.name == "checkpoint-6"
    result = run(root, "cut", settings)
    assert result.resumed_from_step == 6
    assert result.best_eval_loss == pytest.approx(whole.best_eval_loss, abs=1e-6)
    assert {step for step, kind, _ in loss_curve(result) if kind == "eval_loss"} == {4, 8}
    assert largest_difference(root / "whole/out/model", root / "cut/out/model") <= 1e-6


def test_training_keeps_the_weights_of_the_best_evaluation_and_not_of_a_later_checkpoint(
    plain_dir: Path, plain: ReadableModel, tmp_path: Path
) -> None:
    root = write_example_inputs(tmp_path / "runs", plain_dir, plain, training=4, validation=4)
    # At this rate the loss explodes, so that the first evaluation is the best.
    settings = {"method": "full", "learning_rate": 1.0, "eval_every": 2, "warmup_ratio": 0.0}
    often = run(root, "often", settings | {"steps": 6, "save_every": 1})
    evaluated = {step: loss for step, kind, loss in loss_curve(often) if kind == "eval_loss"}
    assert often.best_eval_loss == min(evaluated.values())
    best = min(evaluated, key=lambda step: evaluated[step])
    assert best < 6
    run(root, "seldom", settings | {"steps": 6, "save_every": 100})
    assert largest_difference(root / "often/out/model", root / "seldom/out/model") == 0.0


def test_checkpoint_whose_state_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    for step, state in ((3, '{"global_step": 3}'), (6, '{"global_st')):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}/trainer_state.json").write_text(state)
    (tmp_path / "checkpoint-9").mkdir()
    found = newest_checkpoint(tmp_path)
    assert found is not None and found.name == "checkpoint-3"
