"""What replaces a model's reasoning, id by id, and how the answers after it are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from latent_core.config.evaluate import Intervention
from latent_core.config.ratio_form import RatioForm
from latent_core.config.sampling import SamplingConfig
from latent_core.dual import build_dual
from latent_core.errors import InputError
from latent_core.evaluation.following import Following, following
from latent_core.evaluation.interventions import (
    DONOR,
    FOLLOWS,
    answer_opening,
    intervened,
    reasoning_ids,
    replacements,
)
from latent_core.generate.engine import Finished, Generation, Request
from latent_core.models.ratio_tokens import RatioTokens
from latent_core.models.readable import ReadableModel
from latent_core.models.source import open_model

GREEDY = SamplingConfig(seed=7)
THOUGHTS = ("Two and two are four.", "Three and six are nine, we know.", "One is one.", "Ten less five is five.")
GOLDS = ("4", "9", "1", "5")


@pytest.fixture(scope="module")
def plain() -> ReadableModel:
    return ReadableModel.load(open_model("latent-mini").directory)


@pytest.fixture(scope="module")
def dual(tmp_path_factory: pytest.TempPathFactory) -> ReadableModel:
    directory: Path = tmp_path_factory.mktemp("dual") / "model"
    build_dual(open_model("latent-mini").directory, directory)
    return ReadableModel.load(directory)


class Answering:
    """An engine that fills in the same answers in turn, and keeps what it was asked."""

    def __init__(self, model: ReadableModel, *answers: str) -> None:
        self._model, self._answers = model, list(answers)
        self.requests: list[Request] = []

    def generate(
        self, requests: Sequence[Request], sampling: SamplingConfig, finished: Finished | None = None
    ) -> list[Generation]:
        self.requests += requests
        ends = [f"{self._answers.pop(0)}}}$<|im_end|>" for _ in requests]
        return [Generation(tuple(self._model.encode(text)), "stop") for text in ends]

    def close(self) -> None:
        pass


def _rows(model: ReadableModel, samples: int = 1) -> list[dict[str, Any]]:
    """Finished evaluations: latent reasoning for a dual model."""
    rows = []
    for number, (thought, gold) in enumerate(zip(THOUGHTS, GOLDS, strict=True)):
        for index in range(samples):
            ids = model.encode(f"{thought * (index + 1)}\n\n")
            if model.vocabulary is not None:
                ids = model.vocabulary.to_latent(ids).tolist()
            end = model.encode(f"</think>\n\nThe final answer is: $\\boxed{{{gold}}}$<|im_end|>")
            rows.append(
                {
                    "question_id": f"q{number}",
                    "sample_index": index,
                    "question": "How many?",
                    "gold": gold,
                    "level": None,
                    "prompt_token_ids": model.encode(f"How many, of {number}?<think>\n"),
                    "output_token_ids": [*ids, *end],
                }
            )
    return rows


@pytest.fixture(params=["plain", "dual"])
def model(request: pytest.FixtureRequest) -> ReadableModel:
    found: ReadableModel = request.getfixturevalue(request.param)
    return found


def _asked(
    rows: list[dict[str, Any]], intervention: Intervention, model: ReadableModel, *answers: str, context: int = 512
) -> tuple[list[dict[str, Any]], list[tuple[int, ...]]]:
    engine = Answering(model, *answers)
    found = list(intervened(rows, intervention, model, engine, GREEDY, benchmark="word_problems", context=context))
    return found, [request.prompt_ids for request in engine.requests]


def test_opening_of_the_answer_is_what_targets_have_up_to_the_box(model: ReadableModel) -> None:
    assert model.decode(answer_opening(model)) == "</think>\n\nThe final answer is: $\\boxed{"


def test_empty_reasoning_is_an_end_of_thinking_right_behind_the_prompt(model: ReadableModel) -> None:
    rows = _rows(model)
    found, prompts = _asked(rows, Intervention.EMPTY, model, "4", "0", "1", "0")
    opening = answer_opening(model)
    assert prompts == [(*row["prompt_token_ids"], *opening) for row in rows]
    assert [row["reasoning_tokens"] for row in found] == [0] * 4
    assert [row["verdict"] for row in found] == ["correct", "wrong", "correct", "wrong"]
    assert [row["prompt_token_ids"] for row in found] == [row["prompt_token_ids"] for row in rows]


def test_own_reasoning_is_put_there_again_as_any_other_is(model: ReadableModel) -> None:
    rows = _rows(model)
    found, prompts = _asked(rows, Intervention.OWN, model, *GOLDS)
    opening = answer_opening(model)
    assert prompts == [(*row["prompt_token_ids"], *reasoning_ids(row, model), *opening) for row in rows]
    assert [row["verdict"] for row in found] == ["correct"] * 4 and DONOR not in found[0]


def test_random_reasoning_has_the_length_and_the_ids_of_the_models_own(model: ReadableModel) -> None:
    rows = _rows(model)
    found = [replaced.ids for replaced in replacements(rows, Intervention.RANDOM, model, seed=7)]
    own = [reasoning_ids(row, model) for row in rows]
    used = {token for ids in own for token in ids}
    assert [len(ids) for ids in found] == [len(ids) for ids in own]
    assert {token for ids in found for token in ids} <= used
    assert all(ids != before for ids, before in zip(found, own, strict=True))
    if model.vocabulary is not None:
        assert all(model.vocabulary.is_latent(list(ids)).all() for ids in found)


def test_random_ids_follow_question_and_seed_alone(model: ReadableModel) -> None:
    rows = _rows(model)
    first = replacements(rows, Intervention.RANDOM, model, seed=7)
    assert first == replacements(rows, Intervention.RANDOM, model, seed=7)
    assert first != replacements(rows, Intervention.RANDOM, model, seed=8)
    shuffled = [rows[place] for place in (0, 1, 3, 2)]
    pool_is_another = replacements(shuffled, Intervention.RANDOM, model, seed=7)
    assert [len(found.ids) for found in pool_is_another] == [len(first[place].ids) for place in (0, 1, 3, 2)]


def test_random_ids_are_never_marks_or_ends(plain: ReadableModel) -> None:
    """A reasoning that never ended may hold an opening mark, which no phase would take."""
    family = plain.family
    rows = _rows(plain)
    body = plain.encode("a b")
    marks = [family.think_start_id, *family.stop_ids]
    rows[0]["output_token_ids"] = [*marks * 50, *body, family.end_of_turn_id]
    ids = {token for found in replacements(rows, Intervention.RANDOM, plain, seed=1) for token in found.ids}
    assert ids and not ids & {*marks, family.think_end_id}


def test_random_ids_of_a_dual_model_are_latent_even_where_its_reasoning_holds_visible_ones(dual: ReadableModel) -> None:
    rows = _rows(dual)
    rows[0]["output_token_ids"] = [*dual.encode("visible words " * 30), *rows[0]["output_token_ids"]]
    assert dual.vocabulary is not None
    ids = [token for found in replacements(rows, Intervention.RANDOM, dual, seed=1) for token in found.ids]
    assert len(ids) > 60 and dual.vocabulary.is_latent(ids).all()


def test_unended_reasoning_counts_whole_without_the_end_of_its_turn(plain: ReadableModel) -> None:
    ids = plain.encode("no end")
    row = {"output_token_ids": [*ids, plain.family.end_of_turn_id]}
    assert reasoning_ids(row, plain) == tuple(ids) == reasoning_ids({"output_token_ids": ids}, plain)


def test_swapped_reasoning_is_another_questions_word_for_word(model: ReadableModel) -> None:
    rows = _rows(model, samples=2)
    own = {(row["question_id"], row["sample_index"]): reasoning_ids(row, model) for row in rows}
    found, prompts = _asked(rows, Intervention.SWAP, model, *["0"] * 8)
    opening = answer_opening(model)
    for row, before, prompt in zip(found, rows, prompts, strict=True):
        assert row[DONOR] != row["question_id"]
        given = own[row[DONOR], row["sample_index"]]
        assert prompt == (*before["prompt_token_ids"], *given, *opening)
        assert row["reasoning_tokens"] == len(given)
    pairs = {(row["question_id"], row[DONOR]) for row in found}
    assert len(pairs) == len({question for question, _ in pairs}) == len({donor for _, donor in pairs}) == 4


def test_answer_that_follows_the_swapped_reasoning_is_told_from_the_questions_own(plain: ReadableModel) -> None:
    rows = _rows(plain)
    golds = {row["question_id"]: row["gold"] for row in rows}
    donors = [row[DONOR] for row in _asked(rows, Intervention.SWAP, plain, *["0"] * 4)[0]]
    answers = [golds[donors[0]], golds["q1"], "77", golds[donors[3]]]
    found, _ = _asked(rows, Intervention.SWAP, plain, *answers)
    assert [row[FOLLOWS] for row in found] == [True, False, False, True]
    assert [row["verdict"] for row in found] == ["wrong", "correct", "wrong", "wrong"]
    assert following([row[FOLLOWS] for row in found]).share is not None


def test_swap_between_questions_of_one_answer_tells_nothing(plain: ReadableModel) -> None:
    rows = [row | {"gold": "4.0" if row["question_id"] == "q1" else "4"} for row in _rows(plain)]
    found, _ = _asked(rows, Intervention.SWAP, plain, *["4"] * 4)
    assert [row[FOLLOWS] for row in found] == [None] * 4
    assert following([None, None]) == Following(None, 0, 2)


def test_following_is_a_share_of_the_samples_that_can_tell() -> None:
    found = following([True, True, None, False, True])
    assert found.share is not None and found.share.value == 0.75
    assert (found.samples, found.alike) == (4, 1)
    assert Following.from_metrics(found.to_metrics()) == found


def test_row_without_room_for_an_answer_is_counted_as_cut(plain: ReadableModel) -> None:
    rows = _rows(plain)
    lengths = [len(row["prompt_token_ids"]) + len(reasoning_ids(row, plain)) for row in rows]
    longest = max(lengths) + len(answer_opening(plain))
    found, prompts = _asked(rows, Intervention.RANDOM, plain, *["4"] * 4, context=longest)
    assert len(prompts) == 4 - lengths.count(max(lengths))
    assert len(found) == 4
    assert found[lengths.index(max(lengths))]["verdict"] == "truncated"


def test_swap_of_one_question_is_refused(plain: ReadableModel) -> None:
    with pytest.raises(InputError, match=r"evaluate\.interventions: swap needs another question"):
        replacements(_rows(plain)[:1], Intervention.SWAP, plain, seed=0)


@pytest.mark.parametrize("intervention", list(Intervention))
def test_model_that_names_its_ratio_first_is_refused(plain: ReadableModel, intervention: Intervention) -> None:
    """The ratio and the think mark that such a model opens would be taken for reasoning."""
    tokens = RatioTokens(RatioForm.ECHO, (1.0,), (5,), auto_id=6)
    echoing = replace(plain, family=replace(plain.family, ratio_tokens=tokens))
    with pytest.raises(InputError, match=r"evaluate\.interventions: the model names its ratio before it reasons"):
        replacements(_rows(plain), intervention, echoing, seed=0)


@pytest.mark.parametrize("intervention", list(Intervention))
def test_model_without_think_marks_is_refused(plain: ReadableModel, intervention: Intervention) -> None:
    silent = replace(plain, family=replace(plain.family, think_end=None, think_end_id=None))
    with pytest.raises(InputError, match=r"evaluate\.interventions: the model does not reason between think marks"):
        replacements(_rows(plain), intervention, silent, seed=0)
