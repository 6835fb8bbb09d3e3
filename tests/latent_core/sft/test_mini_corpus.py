"""The corpus of latent-mini: prompts as evaluation renders them, the same from any process, nothing held back in it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from latent_core import prompts
from latent_core.benchmarks.noise import TRAINED, noisy_question
from latent_core.benchmarks.word_problems import generate_problem
from latent_core.config.prompting import Prompting
from latent_core.config.registers import Register, RegisterShares
from latent_core.models import tokens
from latent_core.models.family import chat_family
from latent_core.models.mini import MiniShape, train_tokenizer, write_initial_model
from latent_core.sft import corpus_processes
from latent_core.sft.mini_corpus import CorpusWriter, Recipe, example, examples, tokenizer_texts

RECIPE = Recipe(2, (1, 2, 3), RegisterShares(), 0.5)
MARK = "<|im_end|>"
GOLDEN = "29ae7a33f22f9fb843df3073fd9c257c822ac366f52ee3369f9311fbd3f413b6"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(tokenizer_texts(RECIPE, 200), 700)


def test_prompts_are_those_of_evaluation(tokenizer: Any) -> None:
    family, writer = chat_family(tokenizer), CorpusWriter(tokenizer, RECIPE)
    for index in range(60):
        shown = example(RECIPE, "train", index, MARK)
        expected = prompts.render_prompt(shown.question, tokenizer, family, prompting=shown.prompting)
        if shown.register is Register.TELEGRAM:
            head, _, tail = expected.rpartition(prompts.INSTRUCTION)
            expected = f"{head}{prompts.INSTRUCTION} {shown.instruction}{tail}"
        assert writer.prompt(shown) == expected


def test_block_holds_the_tokens_of_prompt_and_target_and_learns_the_target(tokenizer: Any) -> None:
    family, writer = chat_family(tokenizer), CorpusWriter(tokenizer, RECIPE)
    for index, row in zip(range(5, 45), writer.block("train", range(5, 45)).rows(), strict=True):
        shown = example(RECIPE, "train", index, MARK)
        prompt = tokens.encode(writer.prompt(shown), tokenizer)
        target = tokens.encode(prompts.render_target(shown.reasoning, shown.answer, family), tokenizer)
        assert row["input_ids"].tolist() == prompt + target
        assert row["labels"].tolist() == [-100] * len(prompt) + target


def test_registers_and_noise_come_as_often_as_the_recipe_says() -> None:
    shown = [example(RECIPE, "train", index, MARK) for index in range(2000)]
    assert sum(bool(item.noise) for item in shown) / 2000 == pytest.approx(0.5, abs=0.05)
    assert {len(item.noise) for item in shown} == {0, 1, 2}
    assert {kind for item in shown for kind in item.noise} == set(TRAINED)
    for register in Register:
        share = sum(item.register is register for item in shown) / 2000
        assert share == pytest.approx(RegisterShares().share(register), abs=0.05)


def test_corpus_never_holds_tokenskips_suffix_or_a_ratio(tokenizer: Any) -> None:
    writer = CorpusWriter(tokenizer, RECIPE)
    for index in range(1500):
        shown = example(RECIPE, "train", index, MARK)
        asked = writer.prompt(shown).removesuffix("<think>\n")
        assert not re.search(r"<\|im_end\|>[\d.]+<\|im_end\|>", asked), asked
        assert not re.search(r"\b0\.\d|%|[Rr]atio", asked), asked
        problem = RECIPE.problem("train", index)
        assert not re.search(r"percent", f"{shown.instruction} {asked}") or "percent" in problem.question


def test_suffix_of_noise_is_the_ratio_that_prompts_render(tokenizer: Any) -> None:
    family = chat_family(tokenizer)
    noisy = noisy_question("How many?", "suffix", "q1", family.end_of_turn).text
    assert prompts.render_prompt(noisy, tokenizer, family) == prompts.render_prompt(
        "How many?", tokenizer, family, ratio=0.5, prompting=Prompting.RATIO
    )


def test_corpus_of_the_first_edition_is_whole_sentences_of_its_problems(tokenizer: Any) -> None:
    family = chat_family(tokenizer)
    for index, row in enumerate(examples(tokenizer, "validation", 6, (1, 2), start=0)):
        problem = generate_problem("validation", index, difficulty=(1, 2)[index % 2], edition=1)
        prompt = prompts.render_prompt(problem.question, tokenizer, family)
        target = prompts.render_target(problem.solution, str(problem.answer), family)
        assert row["input_ids"] == tokens.encode(prompt, tokenizer) + tokens.encode(target, tokenizer)


def test_corpus_of_several_processes_is_that_of_one(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_initial_model(tmp_path, tokenizer, MiniShape(1, 64, 64, 1, 1, 1024), seed=0)
    monkeypatch.setattr(corpus_processes, "BLOCK", 16)
    alone, shared = (
        [block.ids.tolist() for block in corpus_processes.corpus(tmp_path, RECIPE, "train", 40, processes)]
        for processes in (1, 2)
    )
    assert len(alone) == 3 and alone == shared


def test_examples_of_the_corpus_stay_as_they_are() -> None:
    # Registers and noise are in no fingerprint: another text takes another version of mini_corpus, and of mini_init.
    shown = [example(RECIPE, split, index, MARK) for split in ("train", "validation") for index in range(300)]
    text = "\n".join(part for item in shown for part in (item.question, item.instruction, item.reasoning, item.answer))
    assert hashlib.sha256(text.encode()).hexdigest() == GOLDEN
