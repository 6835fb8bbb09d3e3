"""Noise around questions: it leaves the question readable, repeats itself, and held-back kinds stay apart."""

from __future__ import annotations

import hashlib
import random
import re

import pytest

from latent_core.benchmarks.noise import HELD_OUT, KINDS, NOISE_VERSION, TRAINED, add_noise, noisy_question
from latent_core.benchmarks.noise_texts import HELD_OUT_PHRASES, HELD_OUT_REMARKS
from latent_core.errors import InputError

MARK = "<|end|>"
QUESTION = "Mia has 4 pens. She buys 3 more pens. How many pens does Mia have now?"
GOLDEN = "950859cf5289046f7d49e79b3061fc75fca1687ba27ea31e25f179af1b2eddbe"
DATE = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2} [A-Z][a-z]+ \d{4}|\d\d/\d\d/\d{4}")


def _many(kind: str, count: int = 300) -> list[str]:
    return [add_noise(QUESTION, kind, random.Random(seed), MARK) for seed in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_noise_adds_to_the_question_and_keeps_every_sentence_of_it_in_order(kind: str) -> None:
    for noisy in _many(kind):
        assert noisy != QUESTION
        places = [noisy.find(sentence) for sentence in QUESTION.split(". ")]
        assert places == sorted(places) and places[0] >= 0, noisy


def test_every_kind_is_either_trained_or_held_out() -> None:
    assert set(KINDS) == {*TRAINED, *HELD_OUT} and not set(TRAINED) & set(HELD_OUT)


def test_trained_noise_never_looks_like_a_held_out_kind() -> None:
    openings = [max(re.split(r"\{\w+\}", template), key=len) for template in HELD_OUT_REMARKS]
    for kind in TRAINED:
        for noisy in _many(kind, 2000):
            assert not re.search(rf"{re.escape(MARK)}[\d.]+{re.escape(MARK)}", noisy), noisy  # TokenSkip's suffix
            assert not re.search(r"\b0\.\d|%|percent", noisy), noisy  # no ratio, in whatever place
            assert not any(phrase in noisy for phrase in HELD_OUT_PHRASES) and "Ratio" not in noisy
            assert not any(opening in noisy for opening in openings), noisy
            assert not DATE.search(noisy), noisy


def test_held_out_kinds_are_what_they_are_called() -> None:
    assert set(_many("suffix", 20)) == {f"{QUESTION}{MARK}0.5{MARK}"}
    assert all(any(noisy.endswith(phrase) for phrase in HELD_OUT_PHRASES) for noisy in _many("phrase"))
    assert all(DATE.search(noisy) for noisy in _many("date"))
    assert len(set(_many("sentence"))) > 50


def test_noise_of_a_question_follows_from_its_id() -> None:
    texts = [noisy_question(QUESTION, "label", f"q{number}", MARK) for number in range(20)]
    assert texts == [noisy_question(QUESTION, "label", f"q{number}", MARK) for number in range(20)]
    assert len({text for text, _ in texts}) > 15


@pytest.mark.parametrize("kind", KINDS)
def test_tail_of_a_noisy_question_holds_all_of_its_marks_and_none_of_the_question(kind: str) -> None:
    for number in range(20):
        noisy = noisy_question(QUESTION, kind, f"q{number}", MARK)
        assert noisy.text.endswith(noisy.tail)
        assert MARK not in noisy.text.removesuffix(noisy.tail)
        assert bool(noisy.tail) is (kind in ("end_marks", "suffix"))


def test_unknown_noise_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"noise: unknown kind 'fog'; choose one of instruction_before, "):
        add_noise(QUESTION, "fog", random.Random(0), MARK)


def test_texts_of_noise_stay_as_they_are_in_a_version() -> None:
    # Another text: raise NOISE_VERSION (evaluations), and the versions of mini_init and mini_corpus, which read it too.
    texts = [noise for kind in KINDS for noise in _many(kind, 100)]
    assert NOISE_VERSION == 2 and hashlib.sha256("\n".join(texts).encode()).hexdigest() == GOLDEN
