"""A small run, really made: a standard and a dual model, trained for a few steps and evaluated at a ratio."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from latent_core.config.dual import DualBuildConfig
from latent_core.config.sampling import SamplingConfig
from latent_core.config.training import TrainConfig
from latent_core.store import Artifact
from tasks.build_dual import BuildDualInputs, build_dual
from tasks.evaluate import EvaluateCondition, EvaluateInputs, evaluate
from tasks.inputs import Model
from tasks.prepare import WarmStartExamples, WarmStartInputs, prepare_warm_start
from tasks.train import TrainInputs, train
from tests.support.stage_bench import MINI, TEST, TRAINING, StageBench

QUESTIONS = 3
RATIO = 0.5


class SmallRun:
    """What was made, by name: standard and dual."""

    def __init__(self, bench: StageBench) -> None:
        self.bench = bench
        self.dual = bench.perform(build_dual.call(DualBuildConfig(), BuildDualInputs(MINI)))
        self.models = {"standard": self._trained(MINI), "dual": self._trained(self.dual.ref)}
        self.evaluations = {name: self._evaluated(model) for name, model in self.models.items()}

    def _trained(self, model: Model) -> Artifact:
        examples = WarmStartExamples(questions=8, validation_share=0.2, max_length=512, seed=1)
        prepared = self.bench.perform(prepare_warm_start.call(examples, WarmStartInputs(model, TRAINING)))
        config = TrainConfig(steps=2, batch_size=2, micro_batch_size=2, eval_every=2, learning_rate=1e-3, lora_rank=4)
        return self.bench.perform(train.call(config, TrainInputs(model, prepared.ref)))

    def _evaluated(self, model: Artifact) -> Artifact:
        sampling = SamplingConfig(max_new_tokens=160)
        condition = EvaluateCondition(sampling=sampling, questions=QUESTIONS, ratio=RATIO)
        return self.bench.perform(evaluate.call(condition, EvaluateInputs(model.ref, TEST)))


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallRun]:
    with pytest.MonkeyPatch.context() as patch:
        yield SmallRun(StageBench(Path(tmp_path_factory.mktemp("run")), patch))
