"""The examples latent-mini is pre-trained on: word problems as conversations, loss on the completion only.

Every example follows from its index alone, so that any process can write any block of them.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from latent_core import prompts
from latent_core.benchmarks.noise import TRAINED, add_noise
from latent_core.benchmarks.word_problems import WordProblem, generate_problem
from latent_core.config.prompting import Prompting
from latent_core.config.registers import Register, RegisterShares
from latent_core.models.family import ChatFamily, chat_family, load_tokenizer
from latent_core.models.wordwise import WordwiseEncoder
from latent_core.sft.registers import draw_register, write

_SLOT = "the question's place"  # stands for a question while a prompt is rendered once for all
TWO_KINDS = 0.4  # of the noisy questions, the share that carries two kinds of noise


@dataclass(frozen=True)
class Recipe:
    """What examples are made of: an edition's problems, in registers, some of their questions with noise."""

    edition: int
    difficulties: tuple[int, ...]
    registers: RegisterShares | None = None
    noise: float = 0.0

    def problem(self, split: str, index: int) -> WordProblem:
        """The problem of an example, the difficulties taking turns."""
        difficulty = self.difficulties[index % len(self.difficulties)]
        return generate_problem(split, index, difficulty=difficulty, edition=self.edition)


class Example(NamedTuple):
    """A conversation before it is tokenised: the question as it is asked, and what is answered to it."""

    question: str
    reasoning: str
    answer: str
    register: Register
    prompting: Prompting
    instruction: str  # what stands behind the project's own instruction
    noise: tuple[str, ...]


def example(recipe: Recipe, split: str, index: int, end_of_turn: str) -> Example:
    """The example of an index; the same arguments give the same example for ever."""
    problem = recipe.problem(split, index)
    answer = str(problem.answer)
    if recipe.registers is None and not recipe.noise:
        return Example(problem.question, problem.solution, answer, Register.VERBOSE, Prompting.RATIO, "", ())
    draw = random.Random(f"mini_corpus/{split}/{index}")
    shares = recipe.registers or RegisterShares(verbose=1, equations=0, draft=0, telegram=0)
    register = draw_register(shares, draw)
    written = write(problem, register, shares, draw)
    question = problem.question
    kinds: tuple[str, ...] = ()
    if draw.random() < recipe.noise:
        drawn = draw.sample(TRAINED, 2 if draw.random() < TWO_KINDS else 1)
        # Marks come last: a number behind them, with the turn's own end behind it, would be TokenSkip's suffix.
        kinds = tuple(sorted(drawn, key=lambda kind: kind == "end_marks"))
        for kind in kinds:
            question = add_noise(question, kind, draw, end_of_turn)
    return Example(question, written.text, answer, register, written.prompting, written.instruction, kinds)


def tokenizer_texts(recipe: Recipe, count: int) -> Iterator[str]:
    """Texts that show a tokenizer everything a conversation contains."""
    for index in range(count):
        if recipe.registers is None:
            problem = recipe.problem("train", index)
            yield f"system\n{prompts.SYSTEM}\nuser\n{prompts.INSTRUCTION}\n{problem.question}\nassistant\n"
            yield f"{problem.solution}\n\n{prompts.render_answer(str(problem.answer))}"
            continue
        shown = example(recipe, "train", index, "")
        extra = shown.instruction or prompts.extra_instruction(shown.prompting, 1.0)
        instruction = f"{prompts.INSTRUCTION} {extra}".strip()
        yield f"system\n{prompts.SYSTEM}\nuser\n{instruction}\n{shown.question}\nassistant\n"
        yield f"{shown.reasoning}\n\n{prompts.render_answer(shown.answer)}"


class Block(NamedTuple):
    """Token ids of consecutive examples after one another, and the lengths of their prompts and targets."""

    ids: array[int]
    prompts: array[int]
    targets: array[int]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Rows with `input_ids` and `labels`; prompt positions are labelled -100."""
        start = 0
        ignored = array("i", [-100])
        for prompt, target in zip(self.prompts, self.targets, strict=True):
            ids = self.ids[start : start + prompt + target]
            yield {"input_ids": ids, "labels": ignored * prompt + ids[prompt:]}
            start += prompt + target


class CorpusWriter:
    """Writes blocks of examples for a tokenizer."""

    def __init__(self, tokenizer: Any, recipe: Recipe) -> None:
        self._tokenizer = tokenizer
        self._recipe = recipe
        self._frame = lru_cache(maxsize=64)(self._rendered)

    @cached_property
    def family(self) -> ChatFamily:
        return chat_family(self._tokenizer)

    @cached_property
    def _encoder(self) -> WordwiseEncoder:
        return WordwiseEncoder(self._tokenizer)

    def prompt(self, shown: Example) -> str:
        """The prompt as `prompts.render_prompt` writes it, with the example's own instruction behind the project's."""
        before, after = self._frame(shown.prompting, shown.instruction)
        return f"{before}{shown.question}{after}"

    def block(self, split: str, indices: range) -> Block:
        """The examples of these indices."""
        block = Block(array("i"), array("i"), array("i"))
        for index in indices:
            shown = example(self._recipe, split, index, self.family.end_of_turn)
            prompt = self._encoder.encode_packed(self.prompt(shown))
            target = self._encoder.encode_packed(prompts.render_target(shown.reasoning, shown.answer, self.family))
            block.ids.extend(prompt)
            block.ids.extend(target)
            block.prompts.append(len(prompt))
            block.targets.append(len(target))
        return block

    def _rendered(self, prompting: Prompting, instruction: str) -> tuple[str, str]:
        """What stands before and after a question."""
        text = prompts.render_prompt(_SLOT, self._tokenizer, self.family, prompting=prompting)
        before, after = text.split(_SLOT)
        if instruction:
            head, found, tail = before.rpartition(f"{prompts.INSTRUCTION}\n")
            if not found or tail:
                raise AssertionError("the instruction stands directly before the question")
            before = f"{head}{prompts.INSTRUCTION} {instruction}\n"
        return before, after


def open_writer(model_dir: Path, recipe: Recipe) -> CorpusWriter:
    """A writer for the tokenizer in a model's directory."""
    return CorpusWriter(load_tokenizer(model_dir), recipe)


def blocks(count: int, size: int) -> Sequence[range]:
    """The indices 0 to `count` - 1 in blocks of `size`."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def examples(
    tokenizer: Any, split: str, count: int, difficulties: Sequence[int], start: int = 0
) -> Iterator[dict[str, Any]]:
    """Rows of the first edition in whole sentences, with `input_ids` and `labels`; labels are -100 on prompts."""
    writer = CorpusWriter(tokenizer, Recipe(1, tuple(difficulties)))
    for row in writer.block(split, range(start, start + count)).rows():
        yield {name: ids.tolist() for name, ids in row.items()}
