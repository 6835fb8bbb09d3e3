"""Training on what sampling allows: the loss that is minimised, what learns, layouts, weights, and refusals."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForCausalLM

from latent_core.config.training import LatentRows, Layout, LossOn, LossSupport, LossWeights, TrainConfig, TrainMethod
from latent_core.dual import DualVocabulary, Phase, PhaseMachine
from latent_core.errors import InputError
from latent_core.likelihood import head
from latent_core.likelihood.hidden_states import let_through
from latent_core.models.readable import ReadableModel
from latent_core.sft.loss import token_weights
from latent_core.sft.phase_loss import PhaseLoss, check_targets, machine_of
from latent_core.sft.rank import TrainResult
from latent_core.sft.trainer import train
from tests.support.training_runs import SETTINGS, example_rows, largest_difference, loss_curve, weights


def _table(model: ReadableModel, count: int, start: int = 0) -> pa.Table:
    return pa.Table.from_pylist(example_rows(model, count, start))


def _train(model_dir: Path, table: pa.Table, out: Path, **settings: Any) -> TrainResult:
    validation = settings.pop("validation", None)
    config = TrainConfig(**{**SETTINGS, "support": LossSupport.PHASE, **settings})
    vocabulary = DualVocabulary.find(model_dir)
    latents = range(vocabulary.visible_size, vocabulary.size) if vocabulary else ()
    return train(
        model_dir, table, validation, config, out_dir=out / "out", checkpoint_dir=out / "ck", latent_ids=latents
    )


def sampled_losses(model_dir: Path, row: dict[str, Any], machine: PhaseMachine) -> list[float]:
    """The negative log-likelihood of each supervised token as the sampler has it: masked logits, one by one."""
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    with torch.inference_mode():
        logits = model(torch.tensor([row["input_ids"]])).logits[0].double()
    losses, phase = [], Phase.START
    for place, (token, label) in enumerate(zip(row["input_ids"], row["labels"], strict=True)):
        if label != -100:
            allowed = torch.from_numpy(machine.allowed[phase].copy())
            losses.append(-float(logits[place - 1].masked_fill(~allowed, -math.inf).log_softmax(-1)[label]))
        phase = machine.advance(phase, token)
    return losses


@pytest.mark.parametrize(
    ("loss_on", "loss_weights"),
    [(LossOn.TARGET, {}), (LossOn.LATENT_ONLY, {}), (LossOn.TARGET, {"reasoning": 0.5, "boundary": 3, "answer": 2})],
)
def test_evaluation_loss_is_that_of_the_sampler_over_all_validation_tokens(
    loss_on: LossOn, loss_weights: dict[str, float], dual_dir: Path, dual: ReadableModel, tmp_path: Path
) -> None:
    validation = _table(dual, 5, 50)
    settings = {"validation": validation, "steps": 3, "micro_batch_size": 2, "loss_on": loss_on}
    result = _train(dual_dir, _table(dual, 8), tmp_path, **settings, loss_weights=LossWeights(**loss_weights))
    machine = machine_of(dual_dir)
    assert machine is not None
    vocabulary, total, tokens = machine.vocabulary, 0.0, 0
    for row in validation.to_pylist():
        shares = token_weights(torch.tensor([row["labels"]]), LossWeights(**loss_weights), vocabulary.think_end_id)[0]
        if loss_on is LossOn.LATENT_ONLY:
            row["labels"] = [label if label >= vocabulary.visible_size else -100 for label in row["labels"]]
        losses = sampled_losses(tmp_path / "out/model", row, machine)
        counted = [float(share) for share, label in zip(shares, row["labels"], strict=True) if label != -100]
        total += sum(share * loss for share, loss in zip(counted, losses, strict=True))
        tokens += len(losses)
    assert result.best_eval_loss == pytest.approx(total / tokens, rel=1e-5)


@pytest.mark.parametrize("latent_rows", list(LatentRows))
def test_training_lowers_the_loss_and_moves_latent_rows_only_when_they_may(
    latent_rows: LatentRows, dual_dir: Path, dual: ReadableModel, tmp_path: Path
) -> None:
    table = _table(dual, 8)
    _train(dual_dir, table, tmp_path, latent_rows=latent_rows, steps=12)
    machine = machine_of(dual_dir)
    assert machine is not None
    row, size = table.to_pylist()[0], machine.vocabulary.visible_size
    losses = [sum(sampled_losses(folder, row, machine)) for folder in (dual_dir, tmp_path / "out/model")]
    assert losses[1] < 0.98 * losses[0]
    before, after = (weights(folder)["model.embed_tokens.weight"] for folder in (dual_dir, tmp_path / "out/model"))
    assert torch.equal(before[:size], after[:size])
    assert torch.equal(before[size:], after[size:]) == (latent_rows is LatentRows.FROZEN)


def test_plain_model_learns_the_same_under_both_supports(plain_dir: Path, plain: ReadableModel, tmp_path: Path) -> None:
    table, validation = _table(plain, 8), _table(plain, 4, 50)
    for method in TrainMethod:
        runs = {
            support: _train(
                plain_dir, table, tmp_path / method / support, support=support, validation=validation, method=method
            )
            for support in LossSupport
        }
        pairs = list(zip(*(loss_curve(result) for result in runs.values()), strict=True))
        assert pairs and all(one[:2] == two[:2] and abs(one[2] - two[2]) < 1e-4 for one, two in pairs)
        folders = [tmp_path / method / support / "out/model" for support in LossSupport]
        assert largest_difference(*folders) < 1e-4


def test_runtime_settings_change_neither_losses_nor_weights_of_a_dual_model(
    dual_dir: Path, dual: ReadableModel, tmp_path: Path
) -> None:
    table, validation = _table(dual, 10), _table(dual, 5, 50)
    plainly = _train(dual_dir, table, tmp_path / "plain", validation=validation)
    for name, runtime in (
        ("packed", {"layout": Layout.PACKED}),
        ("small passes", {"micro_batch_size": 1}),
        ("checkpointing", {"gradient_checkpointing": True}),
    ):
        other = _train(dual_dir, table, tmp_path / name, validation=validation, **runtime)
        pairs = list(zip(loss_curve(plainly), loss_curve(other), strict=True))
        assert pairs and all(one[:2] == two[:2] and abs(one[2] - two[2]) < 1e-4 for one, two in pairs), name
        assert largest_difference(tmp_path / "plain/out/model", tmp_path / name / "out/model") < 1e-4, name


def test_target_that_sampling_forbids_raises_before_training_and_says_how_many(
    dual_dir: Path, dual: ReadableModel, tmp_path: Path
) -> None:
    assert dual.vocabulary is not None
    rows = _table(dual, 4).to_pylist()
    place = next(index for index, label in enumerate(rows[1]["labels"]) if label >= dual.vocabulary.visible_size)
    for name in ("input_ids", "labels"):  # a visible token among the reasoning
        rows[1][name][place] = 7
    with pytest.raises(InputError, match=rf"train\.support: phase .* 1 of 4 examples .*id 7 at position {place}\)"):
        _train(dual_dir, pa.Table.from_pylist(rows), tmp_path)
    rows[1]["labels"][place] = -100  # read, but not trained
    machine = machine_of(dual_dir)
    assert machine is not None
    check_targets(machine, pa.Table.from_pylist(rows), None)


def test_model_with_logits_that_are_not_understood_is_refused_before_training(
    dual_dir: Path, dual: ReadableModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "_scaling", lambda config: (2.0, None))  # as if the model had halved its logits
    with pytest.raises(InputError, match="makes more of its logits"):
        _train(dual_dir, _table(dual, 4), tmp_path)
    assert not (tmp_path / "out").exists()


def test_packed_text_that_opens_no_thinking_is_in_no_phase_of_its_neighbour(
    dual_dir: Path, dual: ReadableModel
) -> None:
    """In ANSWER an opening think mark has no probability, in START it has one."""
    machine = machine_of(dual_dir)
    assert machine is not None
    model = AutoModelForCausalLM.from_pretrained(dual_dir, dtype=torch.float32).eval()
    let_through(model)
    start, end = machine.vocabulary.think_ids
    texts = [[9, start, machine.vocabulary.size - 5, end, 8, 10], [11, 12, 13, 14]]

    def losses(*packed: list[int]) -> list[float]:
        ids = torch.tensor([[token for text in packed for token in text]])
        places = torch.tensor([[place for text in packed for place in range(len(text))]])
        labels = ids.masked_fill(places == 0, -100)
        inputs = {"input_ids": ids, "position_ids": places, "labels": labels, "use_cache": False}
        found = PhaseLoss(machine)(model, model, inputs)[0]
        return [float(loss) for loss, label in zip(found, labels[0, 1:], strict=True) if label != -100]

    with torch.inference_mode():
        assert losses(*texts) == pytest.approx([*losses(texts[0]), *losses(texts[1])], abs=1e-5)
