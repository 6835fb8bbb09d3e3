"""One model under several conditions: its engine starts once, and gets a condition's questions in one call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from latent_core.benchmarks.noise import NOISE_VERSION
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.sampling import SamplingConfig
from latent_core.generate.engine import Finished, Generation, Request
from latent_core.store import ArtifactStore
from tasks.evaluate import EvaluateCondition, EvaluateInputs, evaluate
from tasks.inputs import ModelInput, ProblemsInput
from tasks.stage import Workplace
from tasks.tables import SAMPLES
from tasks.workers import engines
from tasks.workers.compute import perform
from tests.support.stage_bench import MINI, TEST, StageBench, thought

QUESTIONS = 300


class Silent:
    """An engine that ends its turn at once."""

    def __init__(self) -> None:
        self.calls: list[list[tuple[int, ...]]] = []

    def generate(
        self, requests: Sequence[Request], sampling: SamplingConfig, finished: Finished | None = None
    ) -> list[Generation]:
        self.calls.append([request.prompt_ids for request in requests])
        return [Generation((2,), "stop") for _ in requests]

    def close(self) -> None:
        pass


def test_evaluate_several_ratios_start_one_engine_and_share_the_questions_as_prefixes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Silent] = []

    def start(model_dir: Path, sampling: SamplingConfig) -> Silent:
        started.append(Silent())
        return started[-1]

    monkeypatch.setattr(engines, "_load", start)
    monkeypatch.setattr(engines, "_warm", None)
    inputs = EvaluateInputs(ModelInput.find("latent-mini"), ProblemsInput.find(BenchmarkConfig(), "test"))
    store = ArtifactStore(str(tmp_path / "store"))
    for ratio in (1.0, 0.7, 0.5):
        condition = EvaluateCondition(sampling=SamplingConfig(), questions=QUESTIONS, ratio=ratio)
        artifact = perform(evaluate.call(condition, inputs), Workplace(store, tmp_path / "scratch", lambda *_: None))
        assert artifact.manifest.content.metrics["outcomes"]["unparsed"] == QUESTIONS
    (engine,) = started
    assert [len(call) for call in engine.calls] == [QUESTIONS] * 3
    for plain, shorter in zip(engine.calls[1], engine.calls[2], strict=True):
        differing = next(place for place, pair in enumerate(zip(plain, shorter, strict=True)) if pair[0] != pair[1])
        assert differing > 0.8 * len(plain)  # what the prefix cache keeps from ratio to ratio


def test_evaluate_under_noise_asks_the_same_questions_with_the_noise_around_them(bench: StageBench) -> None:
    asked = {}
    for kind in (None, "suffix"):
        engine = bench.answer(thought("a", "1"), thought("a", "1"))
        condition = EvaluateCondition(sampling=SamplingConfig(), questions=2, ratio=1.0, noise=kind)
        artifact = bench.perform(evaluate.call(condition, EvaluateInputs(MINI, TEST)))
        rows = list(SAMPLES.rows(artifact))
        asked[kind] = [row["question"] for row in rows]
        assert [row["gold"] for row in rows] == [problem.gold for problem in TEST.open().problems(0, 2)]
        assert all(text in prompt for text, prompt in zip(asked[kind], engine.prompts, strict=True))
    assert asked["suffix"] == [f"{question}<|im_end|>0.5<|im_end|>" for question in asked[None]]


def test_suffix_of_noise_is_the_control_tokens_of_a_ratio_and_not_their_spelling(bench: StageBench) -> None:
    prompts = []
    for fields in ({"ratio": 1.0, "noise": "suffix"}, {"ratio": 0.5}):
        bench.answer(thought("a", "1"), thought("a", "1"))
        condition = EvaluateCondition.model_validate({"sampling": SamplingConfig(), "questions": 2} | fields)
        artifact = bench.perform(evaluate.call(condition, EvaluateInputs(MINI, TEST)))
        prompts.append([list(row["prompt_token_ids"]) for row in SAMPLES.rows(artifact)])
    assert prompts[0] == prompts[1]


def test_evaluate_noise_is_part_of_the_identity_and_an_unknown_kind_is_refused() -> None:
    plain, noisy = (
        EvaluateCondition(sampling=SamplingConfig(), questions=5, ratio=1.0, noise=kind) for kind in (None, "date")
    )
    assert noisy.identity() == plain.identity() | {"noise": "date", "noise_version": NOISE_VERSION}
    marked = EvaluateCondition(sampling=SamplingConfig(), questions=5, ratio=1.0, noise="suffix")
    assert marked.identity() == noisy.identity() | {"noise": "suffix", "noise_marks": 2}
    with pytest.raises(ValidationError, match=r"noise: unknown kind 'fog'; choose one of instruction_before, "):
        EvaluateCondition(sampling=SamplingConfig(), questions=5, ratio=1.0, noise="fog")
