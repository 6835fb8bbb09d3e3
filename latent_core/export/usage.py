"""Python that asks an exported model as it was evaluated, with transformers, PEFT or vLLM alone.

The text of a prompt is the project's own (`latent_core.prompts.render_prompt`). Where the model's chat template, as
transformers renders it, gives the same text, the code uses the template; else it holds the text itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from latent_core.models.readable import ReadableModel
from latent_core.prompts import INSTRUCTION, SYSTEM, ratio_condition, render_prompt

_QUESTION = "Tom has 3 apples and buys 4 more. How many apples does he have?"
_SLOT = "QUESTION-SLOT"


@dataclass(frozen=True)
class Usage:
    """How a model is asked, as Python source."""

    readable: ReadableModel
    ratios: tuple[float, ...] = ()
    """Below 1, those that the model was trained or evaluated at; empty for a model that knows no ratio."""
    max_new_tokens: int = 512

    @property
    def is_dual(self) -> bool:
        return self.readable.vocabulary is not None

    def with_transformers(self, base: str | None = None) -> str:
        """Code that defines `prompt`, `complete` and `answer`; with `base` the weights are an adapter of that model."""
        load = "model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=DTYPE).eval()"
        imports = ["from transformers import AutoModelForCausalLM, AutoTokenizer"]
        names = ['MODEL = "."  # this folder, or the repository\'s name']
        if base is not None:
            imports.insert(0, "from peft import PeftModel")
            names.append(f"BASE = {_quoted(base)}  # see above")
            load = (
                "base = AutoModelForCausalLM.from_pretrained(BASE, dtype=DTYPE)\n"
                "model = PeftModel.from_pretrained(base, MODEL).eval()"
            )
        names.append('DTYPE = "float32"  # as evaluated on a CPU; "bfloat16" on a GPU')
        tokenizer = "tokenizer = AutoTokenizer.from_pretrained(MODEL)"
        parts = ["\n".join(imports), "\n".join([*names, tokenizer, load]), self.prompt_code()]
        if self.is_dual:
            parts.append(self._phases("model.config.dual_vocab"))
        parts += [self._complete(), self._answer(), f"print(answer({self._example()}))"]
        return _joined(parts)

    def with_vllm(self) -> str:
        """The same with vLLM's offline engine."""
        imports = "from transformers import AutoConfig, AutoTokenizer\n" if self.is_dual else (
            "from transformers import AutoTokenizer\n"
        )  # fmt: skip
        tokenizer = "tokenizer = AutoTokenizer.from_pretrained(MODEL)"
        names = f'MODEL = "."  # this folder, or the repository\'s name\n{tokenizer}'
        parts = [f"{imports}from vllm import LLM, SamplingParams", names, self.prompt_code()]
        if self.is_dual:
            parts += [self._phases("AutoConfig.from_pretrained(MODEL).dual_vocab"), self._vllm_dual()]
        else:
            parts.append(self._vllm())
        ask = (
            'if __name__ == "__main__":  # vLLM starts processes that import this file\n'
            "    llm = LLM(MODEL)\n"
            f"    print(answer({self._example()}))"
        )
        return _joined([*parts, self._answer(), ask])

    def content(self) -> str:
        """The user's turn in words, for a chat endpoint."""
        suffix = f"QUESTION{ratio_condition(self.ratios[0], self.readable.family)}" if self.ratios else "QUESTION"
        return f"{INSTRUCTION}\n{suffix}"

    @property
    def opens_think(self) -> bool:
        """Whether a prompt ends in an open think mark that the chat template does not write."""
        family = self.readable.family
        return family.thinks and not family.opens_think and not family.echoes

    def prompt_code(self) -> str:
        """`prompt(question, ratio)`, from the chat template where that gives the same text."""
        argument = "question, ratio=1.0" if self.ratios else "question"
        suffix = f"    told = {self._told()}\n" if self.ratios else ""
        slot = "{question}{told}" if self.ratios else "{question}"
        found = self._tail()
        if found is None:
            before, after = self._literal()
            body = f'    return {_quoted(before)} + f"{slot}" + {_quoted(after)}'
            return f"def prompt({argument}):\n{suffix}{body}"
        family = self.readable.family
        turns = [("system", _quoted(SYSTEM))] if family.has_system_role else []
        first = "" if family.has_system_role else f"{_escaped(SYSTEM)}\\n\\n"
        turns.append(("user", f'f"{first}{{INSTRUCTION}}\\n{slot}"'))
        lines = "".join(f'        {{"role": "{role}", "content": {text}}},\n' for role, text in turns)
        options = "".join(f", {name}={value!r}" for name, value in family.options)
        tail = f" + {_quoted(found)}" if found else ""
        return (
            f"INSTRUCTION = {_quoted(INSTRUCTION)}\n\n\n"
            f"def prompt({argument}):\n{suffix}    turns = [\n{lines}    ]\n"
            f"    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True{options})\n"
            f"    return text{tail}"
        )

    def _told(self) -> str:
        """An expression for what tells the model its ratio, right after the question."""
        family = self.readable.family
        if family.ratio_tokens is not None:
            return 'f"<|ratio_{100 * ratio:g}|>"'
        end = family.end_of_turn.replace("{", "{{").replace("}", "}}")
        return f'"" if ratio == 1 else f{end + "{ratio:g}" + end!r}'

    def _tail(self) -> str | None:
        """What follows the chat template's text; None where a prompt does not begin with it."""
        readable = self.readable
        family = readable.family
        tails = set()
        for ratio in (1.0, *self.ratios):
            wanted = render_prompt(_QUESTION, readable.tokenizer, family, ratio=ratio)
            told = ratio_condition(ratio, family) if self.ratios else ""
            user = f"{INSTRUCTION}\n{_QUESTION}{told}"
            turns = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": user}]
            if not family.has_system_role:
                turns = [{"role": "user", "content": f"{SYSTEM}\n\n{user}"}]
            text = readable.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True, **dict(family.options)
            )
            tails.add(wanted[len(text) :] if wanted.startswith(text) else None)
        return tails.pop() if len(tails) == 1 else None

    def _literal(self) -> tuple[str, str]:
        """The texts before a question and after what tells the ratio."""
        family = self.readable.family
        text = render_prompt(_SLOT, self.readable.tokenizer, family)
        told = ratio_condition(1.0, family)
        before, _, after = text.partition(_SLOT)
        return before, after.removeprefix(told) if self.ratios else after

    def _phases(self, dual: str) -> str:
        """The ids that each phase allows, as `latent_core.dual.constraint.PhaseMachine` has them."""
        return f"""\
# Ids below V are visible; V + i is latent and stands for the visible id SOURCES[i] (-1: for none). Between the
# think marks the model may write latent ids and the closing mark, after them visible ids only.
dual = {dual}
V, START, END = dual["visible_size"], dual["think_start_id"], dual["think_end_id"]
STOPS = {self._stops()}
SOURCES = [first + i if first >= 0 else -1 for first, count in dual["source_runs"] for i in range(count)]
THINKING = [END] + [V + i for i, source in enumerate(SOURCES) if source not in (START, END, *STOPS)]
ANSWERING = [i for i in range(V) if i not in (START, END)]


def allowed(ids):
    marks = [i for i in ids if i in (START, END)]
    return THINKING if marks and marks[-1] == START else ANSWERING + ([] if marks else [START])"""

    def _stops(self) -> list[int]:
        readable = self.readable
        own = () if readable.vocabulary is None else readable.vocabulary.eos_ids
        return sorted({*readable.family.stop_ids, *own})

    def _complete(self) -> str:
        """`complete(text)`: the ids that the model writes after a prompt."""
        more = ""
        if self.is_dual:
            more = "\n        prefix_allowed_tokens_fn=lambda _, row: allowed(row.tolist()),"
        return f"""\
def complete(text, max_new_tokens={self.max_new_tokens}):
    inputs = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    ids = model.generate(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id={list(self.readable.family.stop_ids)},
        pad_token_id={self.readable.family.pad_id},{more}
    )
    return ids[0, inputs["input_ids"].shape[1] :].tolist()"""

    def _vllm(self) -> str:
        return f"""\
def complete(text, max_new_tokens={self.max_new_tokens}):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    stops = {list(self.readable.family.stop_ids)}
    greedy = SamplingParams(temperature=0, max_tokens=max_new_tokens, stop_token_ids=stops)
    return list(llm.generate([{{"prompt_token_ids": ids}}], greedy, use_tqdm=False)[0].outputs[0].token_ids)"""

    def _vllm_dual(self) -> str:
        return f"""\
def complete(text, max_new_tokens={self.max_new_tokens}):
    ids, written = tokenizer(text, add_special_tokens=False)["input_ids"], []
    while len(written) < max_new_tokens and (not written or written[-1] == END):  # the reasoning, then the answer
        greedy = SamplingParams(
            temperature=0,
            max_tokens=max_new_tokens - len(written),
            allowed_token_ids=allowed(ids + written),
            stop_token_ids=[END, *STOPS],
        )
        found = llm.generate([{{"prompt_token_ids": ids + written}}], greedy, use_tqdm=False)
        written += found[0].outputs[0].token_ids
    return written"""

    def _answer(self) -> str:
        argument, ratio = ("question, ratio=1.0", "question, ratio") if self.ratios else ("question", "question")
        decode = "tokenizer.decode(ids)"
        vocabulary = self.readable.vocabulary
        if vocabulary is not None and vocabulary.mode == "custom":
            decode = '"".join(dual["custom_tokens"][i - V] if i >= V else tokenizer.decode([i]) for i in ids)'
        elif vocabulary is not None:
            decode = "tokenizer.decode([SOURCES[i - V] if i >= V else i for i in ids])"
        return f"def answer({argument}):\n    ids = complete(prompt({ratio}))\n    return {decode}"

    def _example(self) -> str:
        ratio = f", ratio={min(self.ratios, key=lambda ratio: abs(ratio - 0.5)):g}" if self.ratios else ""
        return f'"{_QUESTION}"{ratio}'


def ratios_below_one(*found: Sequence[Any]) -> tuple[float, ...]:
    """The numeric ratios below 1 in all of these, the highest first."""
    numbers = {float(ratio) for ratios in found for ratio in ratios if isinstance(ratio, int | float)}
    return tuple(sorted((ratio for ratio in numbers if ratio < 1), reverse=True))


def _quoted(text: str) -> str:
    """A text as a literal of Python, in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def _escaped(text: str) -> str:
    """A text as part of an f-string in double quotes."""
    return _quoted(text)[1:-1].replace("{", "{{").replace("}", "}}")


def _joined(parts: Sequence[str]) -> str:
    """Blocks with the blank lines that Python's style asks for: two around functions."""
    text = parts[0]
    for before, part in pairwise(parts):
        is_wide = "def " in (part[:4], before[:4]) or "\ndef " in before
        text += ("\n\n\n" if is_wide else "\n\n") + part
    return text + "\n"
