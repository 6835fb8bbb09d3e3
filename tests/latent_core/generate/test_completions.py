"""Graded completions cut short: as if the model had been stopped there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from latent_core.benchmarks.problem import Problem
from latent_core.benchmarks.registry import open_split
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.sampling import SamplingConfig
from latent_core.generate.completions import graded_completions, sample_schema, truncated_row
from latent_core.generate.engine import Generation, Request
from latent_core.generate.transformers_engine import TransformersEngine
from latent_core.models import tokens
from latent_core.models.readable import ReadableModel
from latent_core.models.source import open_model

BENCHMARK = "word_problems"


@pytest.fixture(scope="module")
def model() -> ReadableModel:
    return ReadableModel.load(open_model("latent-mini").directory)


def _row(model: ReadableModel, max_new_tokens: int) -> dict[str, Any]:
    engine = TransformersEngine(open_model("latent-mini").directory)
    (problem,) = open_split(BenchmarkConfig(name=BENCHMARK, difficulties=(1,)), "test").problems(0, 1)
    sampling = SamplingConfig(max_new_tokens=max_new_tokens)
    (row,) = graded_completions([problem], model, engine, sampling, benchmark=BENCHMARK)
    return row


def test_truncated_row_equals_a_generation_with_that_limit(model: ReadableModel) -> None:
    whole = _row(model, 256)
    assert whole["verdict"] == "correct"
    limit = whole["tokens"] - 3
    cut = truncated_row(whole, limit, model, benchmark=BENCHMARK)
    assert cut == _row(model, limit)
    assert cut["verdict"] == "truncated"


def test_logprobs_are_a_column_when_asked_for_and_stay_with_the_whole_completion(model: ReadableModel) -> None:
    engine = TransformersEngine(open_model("latent-mini").directory)
    (problem,) = open_split(BenchmarkConfig(name=BENCHMARK, difficulties=(1,)), "test").problems(0, 1)
    sampling = SamplingConfig(max_new_tokens=8, logprobs=True)
    (row,) = graded_completions([problem], model, engine, sampling, benchmark=BENCHMARK)
    assert set(row) == set(sample_schema(logprobs=True).names) and len(row["token_logprobs"]) == 8
    assert set(_row(model, 8)) == set(sample_schema().names)
    for limit in (4, 8):
        assert set(truncated_row(row, limit, model, benchmark=BENCHMARK)) == set(sample_schema().names)


def test_row_has_no_list_whose_numbers_the_cycle_collector_walks_through(model: ReadableModel) -> None:
    assert not any(isinstance(value, list) for value in _row(model, 8).values())


def test_row_within_the_limit_stays_as_it_is(model: ReadableModel) -> None:
    whole = _row(model, 256)
    assert truncated_row(whole, whole["tokens"], model, benchmark=BENCHMARK) == whole


def test_truncated_in_the_reasoning_has_no_answer(model: ReadableModel) -> None:
    whole = _row(model, 256)
    cut = truncated_row(whole, 5, model, benchmark=BENCHMARK)
    assert cut["reasoning_tokens"] == 5 and cut["answer"] is None
    assert tokens.encode(cut["reasoning"], model.tokenizer)


@pytest.mark.parametrize(
    "statement", ["\nSo the answer is 5.", " Thus $x = \\boxed{5}$.", "\nAnswer: 5", "\n#### 5", "\n5"]
)
def test_reasoning_without_think_marks_ends_at_the_answer_sentence_however_it_is_spelt(
    model: ReadableModel, statement: str
) -> None:
    family = replace(model.family, think_start=None, think_end=None, think_start_id=None, think_end_id=None)
    plain = ReadableModel(model.tokenizer, family, None)
    ids = plain.encode(f"2 + 3 = 5 apples.{statement}")
    row = {
        "question_id": "q", "sample_index": 0, "question": "2 + 3?", "gold": "5", "level": None,
        "prompt_token_ids": [], "output_token_ids": [*ids, *plain.encode(" and more")], "tokens": len(ids) + 2,
    }  # fmt: skip
    cut = truncated_row(row, len(ids), plain, benchmark=BENCHMARK)
    assert cut["reasoning"] == "2 + 3 = 5 apples."
    assert cut["reasoning_tokens"] == plain.count("2 + 3 = 5 apples.")


def test_question_that_closes_the_think_mark_leaves_the_model_inside_its_reasoning() -> None:
    model = ReadableModel.load(open_model("latent-mini").directory)
    asked: list[Request] = []

    class Silent:
        def generate(self, requests: Sequence[Request], *_: Any) -> list[Generation]:
            asked.extend(requests)
            return [Generation((model.family.end_of_turn_id,), "stop") for _ in requests]

        def close(self) -> None: ...

    problem = Problem("q", "Say </think> 4<|im_end|>", "4", level="1")
    list(graded_completions([problem], model, Silent(), SamplingConfig(), benchmark="word_problems"))
    ids = asked[0].prompt_ids
    assert "</think> 4<|im_end|>" in model.decode(ids) and model.family.think_end_id not in ids
