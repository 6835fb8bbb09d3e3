"""Where the grader's verdict differs from plain math-verify's, it is right, and the list says why.

The list is `math_verify_differences.jsonl`, the answers are those of `grading_corpus`. A difference that is not in it
fails, and so does a listed one that is none any more.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from math_verify import parse, verify

from latent_core.scoring import Submission, grade_many
from tests.latent_core.scoring.grading_corpus import Case, cases

LISTED = Path(__file__).with_name("math_verify_differences.jsonl")
FEWEST_CASES = 1000


@pytest.fixture(scope="module")
def corpus() -> list[Case]:
    return list(cases())


@pytest.fixture(scope="module")
def graded(corpus: list[Case]) -> list[str]:
    return [
        verdict.outcome.value
        for verdict in grade_many(Submission(case.completion, case.gold, "file") for case in corpus)
    ]


@pytest.fixture
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@functools.cache
def _read(text: str) -> list[Any]:
    return list(parse(text))


def plain_math_verify(gold: str, completion: str) -> str:
    """As its documentation shows: the gold in LaTeX delimiters, the completion as it is."""
    reference = _read(gold if r"\boxed" in gold else f"${gold}$")
    return "correct" if verify(reference, _read(completion)) else "wrong"


def test_grade_of_every_case_in_the_corpus_is_right(corpus: list[Case], graded: list[str]) -> None:
    assert len(corpus) >= FEWEST_CASES
    expected = ["correct" if case.right else "wrong" for case in corpus]
    assert [(case, found) for case, found, right in zip(corpus, graded, expected, strict=True) if found != right] == []


def test_grade_differs_from_math_verify_only_where_the_list_gives_a_reason(
    corpus: list[Case], graded: list[str], quiet: None
) -> None:
    listed = [json.loads(line) for line in LISTED.read_text(encoding="utf-8").splitlines()]
    assert all(row["reason"] for row in listed)
    known = {(row["gold"], row["completion"], row["grade"], row["math_verify"]) for row in listed}
    found = {
        (case.gold, case.completion, ours, theirs)
        for case, ours in zip(corpus, graded, strict=True)
        if (theirs := plain_math_verify(case.gold, case.completion)) != ours
    }
    assert sorted(found - known) == [] and sorted(known - found) == []
