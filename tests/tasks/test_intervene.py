"""The stage `intervene` on real models: a finished evaluation is answered again, under the dual model's phases too."""

from __future__ import annotations

from pathlib import Path

import pytest

from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.evaluate import Intervention
from latent_core.config.sampling import SamplingConfig
from latent_core.dual import DualVocabulary, build_dual
from latent_core.dual.constraint import PhaseMachine
from latent_core.evaluation.interventions import DONOR, FOLLOWS
from latent_core.evaluation.summary import Summary
from latent_core.models.source import open_model
from latent_core.store import Artifact, ArtifactStore
from tasks.evaluate import EvaluateCondition, EvaluateInputs, evaluate
from tasks.inputs import ModelInput, ProblemsInput
from tasks.intervene import InterveneCondition, InterveneInputs, intervene
from tasks.stage import StageCall, Workplace
from tasks.tables import SAMPLES
from tasks.workers.compute import perform

SAMPLING = SamplingConfig(max_new_tokens=200)
PROBLEMS = ProblemsInput.find(BenchmarkConfig(name="word_problems", difficulties=(1,)), "test")
QUESTIONS = 6


class Bench:
    """A store, a model and its finished evaluation."""

    def __init__(self, root: Path, model: ModelInput, directory: Path) -> None:
        self.model, self.directory, self._root = model, directory, root
        self._store = ArtifactStore(str(root / "store"))
        condition = EvaluateCondition(sampling=SAMPLING, questions=QUESTIONS, ratio=1.0)
        self.evaluation = self._perform(evaluate.call(condition, EvaluateInputs(model, PROBLEMS)))

    def intervene(self, intervention: Intervention, sampling: SamplingConfig = SAMPLING) -> Artifact:
        config = InterveneCondition(intervention=intervention, sampling=sampling)
        return self._perform(intervene.call(config, InterveneInputs(self.evaluation.ref, self.model, PROBLEMS)))

    def _perform(self, call: StageCall) -> Artifact:
        return perform(call, Workplace(self._store, self._root / "work", lambda done, total, tokens: None))


@pytest.fixture(scope="module")
def standard(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    model = ModelInput.find("latent-mini")
    return Bench(tmp_path_factory.mktemp("standard"), model, open_model("latent-mini").directory)


@pytest.fixture(scope="module")
def dual(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    root = tmp_path_factory.mktemp("dual")
    build_dual(open_model("latent-mini").directory, root / "model")
    return Bench(root, ModelInput.find(str(root / "model")), root / "model")


@pytest.fixture(params=["standard", "dual"])
def bench(request: pytest.FixtureRequest) -> Bench:
    found: Bench = request.getfixturevalue(request.param)
    return found


def test_model_that_reads_its_reasoning_answers_the_other_question_after_a_swap(bench: Bench) -> None:
    before = Summary.from_metrics(bench.evaluation.manifest.content.metrics)
    swapped = bench.intervene(Intervention.SWAP)
    summary = Summary.from_metrics(swapped.manifest.content.metrics)
    assert before.accuracy.value > 0.6
    assert summary.accuracy.value <= 0.2
    assert summary.follows_reasoning is not None and summary.follows_reasoning.share is not None
    assert summary.follows_reasoning.share.value > 0.6
    assert summary.follows_reasoning.samples + summary.follows_reasoning.alike == QUESTIONS
    rows = list(swapped.rows_of(SAMPLES.file))
    assert all(row[DONOR] != row["question_id"] for row in rows)
    assert summary.follows_reasoning.samples == sum(row[FOLLOWS] is not None for row in rows)
    assert swapped.manifest.content.accounting == {"kept": QUESTIONS, "no_room_to_answer": 0}


def test_answer_after_the_models_own_reasoning_is_the_one_that_it_gave(bench: Bench) -> None:
    """What an intervention shows is the reasoning's doing: the opened box alone changes no answer."""
    again = bench.intervene(Intervention.OWN)
    ended = [row for row in bench.evaluation.rows_of(SAMPLES.file) if row["finish_reason"] == "stop"]
    found = {row["question_id"]: row for row in again.rows_of(SAMPLES.file)}
    assert len(ended) > 3
    for row in ended:
        same = found[row["question_id"]]
        assert (same["answer"], same["reasoning_tokens"]) == (row["answer"], row["reasoning_tokens"])


@pytest.mark.parametrize("intervention", [Intervention.EMPTY, Intervention.RANDOM])
def test_model_without_its_reasoning_cannot_add(bench: Bench, intervention: Intervention) -> None:
    found = bench.intervene(intervention)
    summary = Summary.from_metrics(found.manifest.content.metrics)
    before = Summary.from_metrics(bench.evaluation.manifest.content.metrics)
    assert summary.accuracy.value < before.accuracy.value - 0.5
    assert summary.follows_reasoning is None
    wanted = 0.0 if intervention is Intervention.EMPTY else before.reasoning_tokens
    assert summary.reasoning_tokens == pytest.approx(wanted)
    assert found.manifest.content.metrics["questions"] == QUESTIONS
    assert len(SAMPLES.schema().names) == len(next(iter(found.rows_of(SAMPLES.file))))


@pytest.mark.parametrize("intervention", list(Intervention))
def test_dual_model_answers_in_visible_ids_after_latent_reasoning(dual: Bench, intervention: Intervention) -> None:
    machine = PhaseMachine(DualVocabulary.load(dual.directory))
    for row in dual.intervene(intervention).rows_of(SAMPLES.file):
        assert machine.violations(row["prompt_token_ids"], row["output_token_ids"]).size == 0
        assert row["latent_tokens"] == row["reasoning_tokens"]
