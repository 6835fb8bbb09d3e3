"""What each column of a graded completion holds, against an engine that writes given texts."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from latent_core.benchmarks.problem import Problem
from latent_core.config.prompting import TextFormat
from latent_core.config.sampling import SamplingConfig
from latent_core.generate import completions
from latent_core.generate.completions import graded_completions
from latent_core.generate.engine import Finished, FinishReason, Generation, Request, item_seed
from latent_core.models.readable import ReadableModel
from latent_core.models.source import open_model
from latent_core.prompts import render_prompt

PROBLEMS = [Problem(f"q{place}", f"What is {place} + 3?", str(place + 3), level=f"l{place}") for place in range(5)]
THREE = "So it is 3.\n</think>\n\nThe final answer is: $\\boxed{3}$"


@dataclass
class Writer:
    """An engine that gives every request the same completion, one request at a time."""

    token_ids: Sequence[int]
    finish_reason: FinishReason = "stop"
    logprobs: tuple[float, ...] | None = None
    calls: list[list[Request]] = field(default_factory=list)

    def generate(
        self, requests: Sequence[Request], sampling: SamplingConfig, finished: Finished | None = None
    ) -> list[Generation]:
        self.calls.append(list(requests))
        generation = Generation(tuple(self.token_ids), self.finish_reason, self.logprobs)
        for place in range(len(requests)):
            if finished:
                finished({place: generation})
        return [generation] * len(requests)

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def thinking() -> ReadableModel:
    return ReadableModel.load(open_model("latent-mini").directory)


@pytest.fixture(scope="module")
def plain(thinking: ReadableModel) -> ReadableModel:
    """The same model without think marks of its own."""
    family = replace(thinking.family, think_start=None, think_end=None, think_start_id=None, think_end_id=None)
    return ReadableModel(thinking.tokenizer, family, None)


def _row(model: ReadableModel, text: str, *, stop: bool = True, text_format: TextFormat = TextFormat.BOXED):
    ids = [*model.encode(text), *([model.family.end_of_turn_id] if stop else [])]
    engine = Writer(ids, "stop" if stop else "length")
    (row,) = graded_completions(
        PROBLEMS[:1], model, engine, SamplingConfig(), benchmark="math", text_format=text_format
    )
    assert row["output_token_ids"] == array("i", ids) and row["tokens"] == len(ids)
    return row


def test_rows_of_several_samples_are_question_by_question_with_their_own_prompts_and_seeds(
    thinking: ReadableModel,
) -> None:
    engine = Writer(thinking.encode(THREE))
    sampling = SamplingConfig(samples=3, temperature=1.0, seed=7)
    rows = list(graded_completions(PROBLEMS, thinking, engine, sampling, benchmark="math", ratio=0.5))
    assert [(row["question_id"], row["sample_index"]) for row in rows] == [
        (problem.question_id, index) for problem in PROBLEMS for index in range(3)
    ]
    (requests,) = engine.calls
    for row, request in zip(rows, requests, strict=True):
        prompt = render_prompt(row["question"], thinking.tokenizer, thinking.family, ratio=0.5)
        assert row["prompt_token_ids"].tolist() == list(request.prompt_ids) == thinking.encode(prompt)
        assert request.seed == item_seed(7, row["question_id"], row["sample_index"])
    assert [(row["gold"], row["level"], row["verdict"]) for row in rows[:6:3]] == [
        ("3", "l0", "correct"),
        ("4", "l1", "wrong"),
    ]


def test_completions_reach_the_engine_in_bounded_calls(
    thinking: ReadableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completions, "COMPLETIONS_PER_CALL", 5)
    for samples, sizes in ((1, [5]), (2, [4, 4, 2]), (5, [5] * 5), (6, [6] * 5)):
        engine = Writer([1, 2])
        sampling = SamplingConfig(samples=samples, temperature=1.0)
        rows = list(graded_completions(PROBLEMS, thinking, engine, sampling, benchmark="math"))
        assert [len(call) for call in engine.calls] == sizes
        assert [row["question_id"] for row in rows[::samples]] == [problem.question_id for problem in PROBLEMS]


def test_progress_counts_completions_and_tokens_from_nothing(
    thinking: ReadableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completions, "COMPLETIONS_PER_CALL", 2)
    seen: list[tuple[int, int]] = []
    engine = Writer([1, 2, 3])
    list(
        graded_completions(
            PROBLEMS[:3], thinking, engine, SamplingConfig(), benchmark="math", progress=lambda *now: seen.append(now)
        )
    )
    assert seen == [(0, 0), (1, 3), (2, 6), (3, 9)]


def test_thinking_completion_is_cut_at_its_closing_mark(thinking: ReadableModel) -> None:
    row = _row(thinking, THREE)
    assert row["completion"] == f"<think>{THREE}"
    assert row["reasoning"] == "So it is 3."
    assert row["reasoning_tokens"] == len(thinking.encode("So it is 3.\n"))
    assert (row["answer"], row["verdict"], row["latent_tokens"]) == ("3", "correct", 0)


def test_thinking_completion_that_never_closes_is_all_reasoning(thinking: ReadableModel) -> None:
    row = _row(thinking, "So it is 3", stop=False)
    assert (row["completion"], row["reasoning"]) == ("<think>So it is 3", "So it is 3")
    assert (row["reasoning_tokens"], row["answer"], row["verdict"]) == (row["tokens"], None, "truncated")


def test_reasoning_in_a_frame_of_the_templates_own_is_written_between_think_marks(plain: ReadableModel) -> None:
    framed = ReadableModel(plain.tokenizer, replace(plain.family, reasoning_frame=("[reason]", "[/reason]")), None)
    text = THREE.replace("</think>", "[/reason]")
    row = _row(framed, f"[reason]{text}")
    assert (row["completion"], row["reasoning"]) == (f"<think>{THREE}", "So it is 3.")
    assert row["reasoning_tokens"] == len(plain.encode("So it is 3."))
    assert (row["answer"], row["verdict"]) == ("3", "correct")
    open_ended = _row(framed, "[reason]So it is 3")
    assert (open_ended["completion"], open_ended["reasoning"]) == ("<think>So it is 3", "So it is 3")
    assert (open_ended["answer"], open_ended["verdict"]) == (None, "unparsed")
    raw = _row(framed, f"[reason]{text}", text_format=TextFormat.RAW_TEXT)
    assert raw["completion"] == f"[reason]{text}"


@pytest.mark.parametrize("text_format", list(TextFormat))
def test_xml_answers_are_read_only_in_that_format(plain: ReadableModel, text_format: TextFormat) -> None:
    text = "It is not <answer>4</answer>, so: <answer> 3 </answer> yes"
    row = _row(plain, text, text_format=text_format)
    assert row["completion"] == text
    if text_format is TextFormat.XML:
        assert (row["answer"], row["verdict"]) == ("3", "correct")
        assert row["reasoning"] == "It is not <answer>4</answer>"  # "so" belongs to the statement
    else:
        assert (row["answer"], row["verdict"]) == (None, "unparsed")
        assert row["reasoning"] == text
    assert row["reasoning_tokens"] == plain.count(row["reasoning"])


def test_raw_text_of_a_thinking_model_is_read_without_its_marks(thinking: ReadableModel) -> None:
    text = " It is 0 + 3.\nThe answer is 3"
    row = _row(thinking, text, text_format=TextFormat.RAW_TEXT)
    assert (row["completion"], row["reasoning"], row["verdict"]) == (text, "It is 0 + 3.", "correct")


def test_logprobs_are_stored_as_given(thinking: ReadableModel) -> None:
    engine = Writer([1, 2], logprobs=(-0.5, -0.25))
    (row,) = graded_completions(PROBLEMS[:1], thinking, engine, SamplingConfig(), benchmark="math")
    assert row["token_logprobs"] == array("f", [-0.5, -0.25])
