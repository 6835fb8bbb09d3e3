"""One solution in four registers: what each keeps, how often it comes, and what no instruction says."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest
from pydantic import ValidationError

from latent_core.benchmarks.word_problems import generate_problem
from latent_core.config.mini import MiniCorpusConfig, MiniRecipeConfig
from latent_core.config.prompting import Prompting
from latent_core.config.registers import Register, RegisterShares
from latent_core.identity import canonical_json
from latent_core.sft.registers import TELEGRAM_INSTRUCTIONS, draft, draw_register, equations, telegram, write

PROBLEM = generate_problem("train", 11, difficulty=4)
EQUATION = re.compile(r"\d+ [-+*/] \d+ = \d+")


def test_registers_come_as_often_as_their_shares_say() -> None:
    draw = random.Random(0)
    counts = Counter(draw_register(RegisterShares(), draw) for _ in range(20_000))
    for register in Register:
        assert counts[register] / 20_000 == pytest.approx(RegisterShares().share(register), abs=0.015)
    alone = RegisterShares(verbose=0, equations=1, draft=0, telegram=0)
    assert {draw_register(alone, draw) for _ in range(100)} == {Register.EQUATIONS}


def test_every_register_keeps_all_equations_in_their_order() -> None:
    expected = [step.equation for step in PROBLEM.steps]
    for register in Register:
        for seed in range(10):
            written = write(PROBLEM, register, RegisterShares(), random.Random(seed))
            assert EQUATION.findall(written.text) == expected, written
    assert write(PROBLEM, Register.VERBOSE, RegisterShares(), random.Random(0)).text == PROBLEM.solution


def test_short_registers_are_short_and_under_the_projects_own_prompts() -> None:
    short = equations(PROBLEM, random.Random(0))
    assert len(short) < 0.5 * len(PROBLEM.solution) and str(PROBLEM.answer) in short.split(".")[-2]
    lines = draft(PROBLEM).split("\n")
    assert len(lines) == 1 + len(PROBLEM.steps) and lines[0].startswith("start ")
    assert all(len(line.split(":")[0].split()) <= 5 for line in lines[1:])
    prompting = {
        register: write(PROBLEM, register, RegisterShares(), random.Random(0)).prompting for register in Register
    }
    assert prompting[Register.EQUATIONS] is Prompting.CONCISE
    assert prompting[Register.DRAFT] is Prompting.CHAIN_OF_DRAFT
    assert prompting[Register.VERBOSE] is prompting[Register.TELEGRAM] is Prompting.RATIO


@pytest.mark.parametrize("share", [0.0, 0.3, 0.85, 1.0])
def test_telegram_leaves_out_its_share_of_words_and_never_a_number_or_operator(share: float) -> None:
    words = PROBLEM.solution.split(" ")
    loose = [word for word in words if not re.search(r"[\d=+*/]|^-$", word)]
    kept = telegram(PROBLEM.solution, share, random.Random(1)).split(" ")
    assert len(words) - len(kept) == round(share * len(loose))
    assert [word for word in kept if word not in loose] == [word for word in words if word not in loose]
    rest = iter(words)
    assert all(word in rest for word in kept)  # in the order of the text


def test_telegrams_drop_between_the_least_and_the_most() -> None:
    shares = RegisterShares(least_dropped=0.5, most_dropped=0.5)
    written = write(PROBLEM, Register.TELEGRAM, shares, random.Random(3))
    assert written.instruction in TELEGRAM_INSTRUCTIONS
    assert len(written.text) < 0.8 * len(PROBLEM.solution)


def test_no_instruction_names_a_ratio_or_a_number() -> None:
    for instruction in TELEGRAM_INSTRUCTIONS:
        assert not re.search(r"\d|%|percent|ratio|half|third|quarter|share", instruction.lower()), instruction


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"verbose": 0.5}, r"registers: the shares of the registers add up to 1\.1; make them add up to 1"),
        ({"least_dropped": 0.9}, r"registers: least_dropped 0\.9 is more than most_dropped 0\.85; swap them"),
    ],
)
def test_shares_that_contradict_each_other_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RegisterShares(**settings)


@pytest.mark.parametrize("register", ["equations", "draft", "telegram"])
def test_other_shares_are_another_corpus(register: str) -> None:
    other = RegisterShares(**{"verbose": 0.3, register: RegisterShares().share(Register(register)) + 0.1})
    assert identity_of(MiniRecipeConfig(registers=other)) != identity_of(MiniRecipeConfig())


def test_recipe_of_the_first_edition_has_the_fingerprint_it_was_published_under() -> None:
    first = MiniRecipeConfig(problems=40_000, validation_problems=200, registers=None, noise=0)
    assert identity_of(first) == identity_of(MiniCorpusConfig())
    assert "registers" in MiniRecipeConfig().identity() and "registers" not in first.identity()


def identity_of(config: MiniCorpusConfig) -> str:
    return canonical_json(config.identity())
