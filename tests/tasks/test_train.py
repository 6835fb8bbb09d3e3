"""The stage `train`: weights that moved towards the examples, and the losses of the way."""

from __future__ import annotations

from latent_core.config.direct import DirectExamplesConfig
from latent_core.config.training import TrainConfig, TrainMethod
from latent_core.models.source import model_in
from tasks.direct import PrepareDirectInputs, prepare_direct
from tasks.train import TrainInputs, train
from tests.support.stage_bench import MINI, TRAINING, StageBench


def test_train_lowers_the_validation_loss_and_writes_a_model(bench: StageBench) -> None:
    examples = DirectExamplesConfig(questions=8, validation_share=0.3)
    prepared = bench.perform(prepare_direct.call(examples, PrepareDirectInputs(MINI, TRAINING)))
    config = TrainConfig(
        method=TrainMethod.FULL, steps=4, batch_size=2, micro_batch_size=2, eval_every=2, learning_rate=1e-3
    )
    made = bench.perform(train.call(config, TrainInputs(MINI, prepared.ref)))
    metrics, record = made.manifest.content.metrics, made.manifest.record
    assert metrics["trainable_parameters"] == metrics["parameters"] > 1_000_000
    losses = [point["eval_loss"] for point in record["curve"] if point.get("eval_loss") is not None]
    assert metrics["best_eval_loss"] == min(losses) and losses[-1] < losses[0]
    assert record["resumed_from_step"] == 0 and (model_in(made) / "config.json").is_file()
