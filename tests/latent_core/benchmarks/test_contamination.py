"""Test questions in training: equal up to spelling, sharing thirteen words, and taken out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from latent_core.benchmarks.contamination import find_contamination, training_stream
from latent_core.benchmarks.problem import Problem
from latent_core.benchmarks.registry import open_split
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.errors import InputError

THIRTEEN = "one two three four five six seven eight nine ten eleven twelve thirteen"


def _problems(*questions: str) -> list[Problem]:
    return [Problem(f"q{place}", question, "1") for place, question in enumerate(questions)]


def test_question_equal_up_to_case_and_punctuation_is_found_twice_and_counted_once() -> None:
    test = _problems("How many eggs?", "How many hens?")
    found = find_contamination(test, iter(_problems("how many  EGGS", "How many eggs!", "How many geese?")))
    assert (found.tested, found.training, found.equal, found.overlapping) == (2, 3, ("q0",), ())


def test_thirteen_shared_words_overlap_and_twelve_do_not() -> None:
    test = _problems(f"So {THIRTEEN} then?", "So one two three four five six seven eight nine ten eleven twelve then?")
    found = find_contamination(test, _problems(f"Now, {THIRTEEN.replace(' ', ', ')}; what?"))
    assert (found.equal, found.overlapping) == ((), ("q0",))


def test_numbers_tell_questions_apart() -> None:
    assert not find_contamination(_problems("What is 2 + 3?"), _problems("What is 2 + 4?")).question_ids


def test_both_copies_of_a_test_question_are_found() -> None:
    assert find_contamination(_problems("Same?", "same"), _problems("SAME")).equal == ("q0", "q1")


def _config(folder: Path, drop: bool) -> BenchmarkConfig:
    for name, questions in {"train": ["a b", "c d"], "test": ["x y", "A B!", "z"]}.items():
        lines = [json.dumps({"question": question, "gold": "1"}) for question in questions]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return BenchmarkConfig(
        name="file", train_path=f"{folder}/train.jsonl", test_path=f"{folder}/test.jsonl", drop_contaminated=drop
    )


def test_dropped_questions_leave_the_test_split_and_change_its_identity(tmp_path: Path) -> None:
    whole, clean = (open_split(_config(tmp_path, drop), "test") for drop in (False, True))
    assert clean.count == 2
    assert [problem.question for problem in clean.problems(0, 2)] == ["x y", "z"]
    assert [problem.question_id for problem in clean.problems(0, 2)] == ["file_test_0", "file_test_2"]
    assert clean.fingerprint != whole.fingerprint
    assert (
        open_split(_config(tmp_path, True), "train").fingerprint
        == open_split(_config(tmp_path, False), "train").fingerprint
    )


def test_endless_split_cannot_be_filtered_but_checked() -> None:
    with pytest.raises(InputError, match="drop_contaminated"):
        open_split(BenchmarkConfig(drop_contaminated=True), "test")
    training = open_split(BenchmarkConfig(), "train")
    stream = training_stream(training)
    assert [next(stream) for _ in range(1500)][-1] == training.problems(1499, 1500)[0]
