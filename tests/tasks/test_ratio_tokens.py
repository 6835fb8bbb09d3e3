"""A model is told its ratio by a token, and names it: from adding the tokens to the evaluation, standard and dual."""

from __future__ import annotations

from typing import Any

import pytest

from flows.parts.ratios import ratio_tokens_of
from latent_core.benchmarks.word_problems import generate_problem
from latent_core.config.dual import DualBuildConfig
from latent_core.config.evaluate import Metric
from latent_core.config.prepare import PrepareConfig, RatioPolicy
from latent_core.config.ratio_form import AUTO, RatioForm, RatioTokensConfig
from latent_core.config.sampling import SamplingConfig
from latent_core.config.training import TrainConfig
from latent_core.errors import InputError
from latent_core.evaluation.summary import Summary
from latent_core.models.readable import ReadableModel
from latent_core.models.source import model_in
from latent_core.store import Artifact, ArtifactRef
from tasks.build_dual import BuildDualInputs, build_dual
from tasks.evaluate import EvaluateCondition, EvaluateInputs, evaluate
from tasks.inputs import Model
from tasks.prepare import PrepareInputs, prepare
from tasks.ratio_tokens import RatioTokensInputs, build_ratio_tokens
from tasks.tables import COMPRESSED, SAMPLES, TRAIN
from tasks.train import TrainInputs, train
from tests.support.stage_bench import MINI, TEST, StageBench

RATIOS = (1.0, 0.5)
QUICK = {(RatioForm.TOKEN, "standard"), (RatioForm.ECHO, "dual")}
SAMPLING = SamplingConfig(max_new_tokens=96)
TRAINING = TrainConfig(
    steps=24, batch_size=8, micro_batch_size=8, learning_rate=1e-2, max_length=512, eval_every=12, dtype="float32"
)  # fmt: skip


def _examples(bench: StageBench) -> tuple[ArtifactRef, ArtifactRef]:
    """Collected chains of thought, and each at half its length."""
    samples, small = [], []
    for number in range(24):
        problem = generate_problem("train", number, difficulty=1)
        key = {"question_id": f"q{number}", "sample_index": 0}
        said = {"question": problem.question, "gold": str(problem.answer), "reasoning": problem.solution}
        samples.append(key | said | {"verdict": "correct"})
        words = problem.solution.split()
        text = " ".join(words[: len(words) // 2])
        small.append(key | {"ratio": 0.5, "text": text, "achieved_ratio": 0.5})
    return bench.input("collect", {SAMPLES: samples}), bench.input("compress", {COMPRESSED: small})


def _told(bench: StageBench, form: RatioForm) -> Model:
    if form is RatioForm.SUFFIX:
        return MINI
    config = RatioTokensConfig(form=form, ratios=RATIOS)
    return bench.perform(build_ratio_tokens.call(config, RatioTokensInputs(MINI))).ref


def _evaluated(bench: StageBench, model: ArtifactRef, ratio: Any) -> Artifact:
    config = EvaluateCondition(sampling=SAMPLING, questions=6, ratio=ratio, metrics=(Metric.LOGPROB,))
    return bench.perform(evaluate.call(config, EvaluateInputs(model, TEST)))


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        pytest.param(form, kind, marks=[] if (form, kind) in QUICK else pytest.mark.slow)
        for form in RatioForm
        for kind in ("standard", "dual")
    ],
)
def test_model_is_asked_as_it_was_trained_from_preparation_to_evaluation(
    bench: StageBench, form: RatioForm, kind: str
) -> None:
    model = _told(bench, form)
    if kind == "dual":
        model = bench.perform(build_dual.call(DualBuildConfig(), BuildDualInputs(model))).ref
    config = PrepareConfig(
        ratios=RATIOS, policy=RatioPolicy.ALL_RATIOS, validation_share=0.0, auto_share=0.5 if form == "echo" else 0.0
    )
    prepared = bench.perform(prepare.call(config, PrepareInputs(model, *_examples(bench))))
    trained = bench.perform(train.call(TRAINING, TrainInputs(model, prepared.ref)))
    readable = ReadableModel.load(model_in(trained))
    half = {RatioForm.SUFFIX: "<|im_end|>0.5<|im_end|>"}.get(form, "<|ratio_50|><|im_end|>")
    asked = [row["prompt"] for row in TRAIN.rows(prepared) if row["ratio"] == 0.5]
    assert any(half in prompt for prompt in asked)
    known = ratio_tokens_of(trained.ref, bench.store)
    assert (None if known is None else known.form) == (None if form == "suffix" else form)
    evaluations = {ratio: _evaluated(bench, trained.ref, ratio) for ratio in (0.5, *([AUTO] if form == "echo" else []))}
    for ratio, found in evaluations.items():
        summary = Summary.from_metrics(found.manifest.content.metrics)
        rows = list(SAMPLES.rows(found))
        prompts = [readable.tokenizer.decode(row["prompt_token_ids"]) for row in rows]
        assert summary.logprob is not None and summary.logprob.scored + summary.logprob.malformed == len(rows)
        assert all((half if ratio == 0.5 else "<|ratio_auto|>") in prompt for prompt in prompts)
        if form != "echo":
            assert not summary.echoed and all(prompt.endswith("<think>\n") for prompt in prompts)
            continue
        assert all(prompt.endswith("<|im_start|>assistant\n") for prompt in prompts)
        assert set(summary.echoed) <= {"1", "0.5"} and sum(summary.echoed.values()) == len(rows)
        for row in rows:
            (named, opened, *rest), family = row["output_token_ids"], readable.family
            assert family.ratio_tokens is not None and family.ratio_tokens.ratio_of[named] == row["echoed_ratio"]
            assert opened == family.think_start_id and "<|ratio" not in row["completion"]
            said = [token for token in rest if token not in family.stop_ids]
            closed = said.index(family.think_end_id) if family.think_end_id in said else len(said)
            assert row["reasoning_tokens"] == closed
        assert summary.latent_share == (1.0 if kind == "dual" else 0.0)
        assert summary.logprob.scored == sum(readable.family.think_end_id in row["output_token_ids"] for row in rows)


def test_prepare_asks_a_share_of_the_prompts_for_auto_and_names_the_label_all_the_same(bench: StageBench) -> None:
    model = _told(bench, RatioForm.ECHO)
    config = PrepareConfig(ratios=RATIOS, policy=RatioPolicy.ALL_RATIOS, validation_share=0.0, auto_share=0.5)
    inputs = PrepareInputs(model, *_examples(bench))
    rows = list(TRAIN.rows(bench.perform(prepare.call(config, inputs))))
    auto = [row for row in rows if "<|ratio_auto|>" in row["prompt"]]
    assert 0.3 < len(auto) / len(rows) < 0.7 and {row["ratio"] for row in auto} == set(RATIOS)
    for row in rows:
        label = f"<|ratio_{100 * row['ratio']:g}|>"
        assert row["target"].startswith(f"{label}<think>") and row["target"].count("<|ratio") == 1
        assert row["prompt"].count("<|ratio") == 1 and (row in auto or label in row["prompt"])
    none = bench.perform(prepare.call(config.model_copy(update={"auto_share": 0.0}), inputs))
    assert not any("<|ratio_auto|>" in row["prompt"] for row in TRAIN.rows(none))


def test_prepare_for_a_model_without_echo_refuses_auto(bench: StageBench) -> None:
    config = PrepareConfig(ratios=RATIOS, auto_share=0.99)
    with pytest.raises(InputError, match="ratio: auto needs a model that names its ratio"):
        bench.perform(prepare.call(config, PrepareInputs(_told(bench, RatioForm.TOKEN), *_examples(bench))))
