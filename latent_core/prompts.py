"""Every prompt and target string, once, for collection, training, scoring and evaluation (arXiv 2502.12067)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from latent_core.config.prompting import Prompting, TextFormat
from latent_core.config.ratio_form import AUTO, AskedRatio
from latent_core.errors import InputError
from latent_core.exemplars import Exemplar, exemplars_of
from latent_core.models.family import ChatFamily
from latent_core.think_marks import THINK_CLOSE, THINK_OPEN

SYSTEM = "You are a helpful assistant."
INSTRUCTION = r"Please reason step by step, and put your final answer within \boxed{}."
XML_INSTRUCTION = (
    "Please reason step by step between <think> and </think>, and put your final answer between <answer> and </answer>."
)
_SLOT = "exemplar answer {}"  # stands for an earlier answer until the template has been applied


def ratio_suffix(ratio: float, family: ChatFamily) -> str:
    """The condition that TokenSkip appends to a question: the ratio between two end-of-turn tokens; empty at 1.0."""
    if ratio == 1.0:
        return ""
    return f"{family.end_of_turn}{ratio:g}{family.end_of_turn}"


def ratio_condition(ratio: AskedRatio, family: ChatFamily) -> str:
    """What tells a model the ratio, right after the question: its token where the model has some, else the suffix.

    Raises InputError for a ratio without a token, and for auto where the model does not name its ratio.
    """
    if family.ratio_tokens is not None:
        return family.ratio_tokens.text_of(ratio)
    if ratio == AUTO:
        raise InputError("ratio: auto needs a model that names its ratio (ratio_form: echo); give a number")
    return ratio_suffix(float(ratio), family)


def ratio_echo(ratio: AskedRatio, family: ChatFamily) -> str:
    """What an echoing model writes before its reasoning, the token of its ratio and the think mark; else nothing."""
    if family.ratio_tokens is None or not family.echoes:
        return ""
    return f"{family.ratio_tokens.text_of(ratio)}{family.think_start or ''}"


def extra_instruction(prompting: Prompting, ratio: float) -> str:
    """What a way of prompting adds to the instruction, in words; empty for the trained-in ratio suffix."""
    match prompting:
        case Prompting.RATIO:
            return ""
        case Prompting.REDUCE:  # TokenSkip §5.1, "prompt-based reduction"
            return f"Please reduce {round((1 - ratio) * 100)}% of the words in your chain of thought."
        case Prompting.CONCISE:
            return "Be concise: write no more reasoning than the answer needs."
        case Prompting.CHAIN_OF_DRAFT:
            return "For every step keep only a short draft of at most five words."
        case Prompting.SKETCH_OF_THOUGHT:
            return "Sketch the reasoning: variables, equations and arrows between linked ideas instead of sentences."


def render_prompt(
    question: str,
    tokenizer: Any,
    family: ChatFamily,
    *,
    ratio: AskedRatio = 1.0,
    prompting: Prompting = Prompting.RATIO,
    text_format: TextFormat = TextFormat.BOXED,
    exemplars: Sequence[Exemplar] = (),
    instruction: str | None = None,
) -> str:
    """The text a model continues: system and user turn, the ratio, generation prompt, and an open think mark.

    A thinking model is always started inside its reasoning; where its template does not open the think mark itself, it
    is opened here, so that it is written exactly once. One that echoes its ratio opens the mark itself, after it.
    `exemplars`, and those that belong to `prompting`, are earlier turns: each answered exactly as `render_target` has
    it. Raw text has no turns, and knows no ratio. `instruction` stands for the one to reason and to box the answer.

    Raises InputError as `ratio_condition` does, and for an echoing model with exemplars or another format than boxed.
    """
    shown = [*exemplars_of(prompting), *exemplars]
    if text_format is TextFormat.RAW_TEXT:
        blocks = [f"{shot.question}{_raw_target(shot.reasoning, shot.answer, family)}" for shot in shown]
        return _bos(tokenizer) + "\n".join([*blocks, question])
    is_told = prompting is Prompting.RATIO
    if (echoes := is_told and family.echoes) and (shown or text_format is not TextFormat.BOXED):
        raise InputError("model: it names its ratio first, and so knows no worked examples and no format but boxed")
    extra = "" if is_told else extra_instruction(prompting, float(ratio))
    if instruction is None:
        instruction = XML_INSTRUCTION if text_format is TextFormat.XML else INSTRUCTION
    instruction = f"{instruction} {extra}" if extra else instruction
    suffix = ratio_condition(ratio, family) if is_told else ""
    users = [f"{instruction}\n{shot.question}" for shot in shown] + [f"{instruction}\n{question}{suffix}"]
    turns = [{"role": "system", "content": SYSTEM}] if family.has_system_role else []
    if not family.has_system_role:
        users[0] = f"{SYSTEM}\n\n{users[0]}"
    for index, user in enumerate(users):
        turns.append({"role": "user", "content": user})
        if index < len(shown):
            turns.append({"role": "assistant", "content": _SLOT.format(index)})
    text = family.render(turns, tokenizer, add_generation_prompt=True)
    if echoes and family.think_start is not None and family.opens_think:
        text = text[: text.rindex(family.think_start)]
    elif family.thinks and not family.opens_think and not echoes:
        text += f"{family.think_start}\n"
    # Filled in afterwards: templates of thinking models cut the reasoning out of earlier turns.
    for index, shot in enumerate(shown):
        text = text.replace(_SLOT.format(index), _earlier_answer(shot, family, text_format), 1)
    return text


def _earlier_answer(shot: Exemplar, family: ChatFamily, text_format: TextFormat) -> str:
    bare = replace(family, header="", ratio_tokens=None)  # the template writes the header in earlier turns
    target = render_target(shot.reasoning, shot.answer, bare, text_format).removesuffix(family.end_of_turn)
    return f"{family.think_start}\n{target}" if family.thinks else target


def _bos(tokenizer: Any) -> str:
    """The beginning-of-sequence token, where the tokenizer puts one before every text."""
    ids = tokenizer.encode("a")
    return str(tokenizer.bos_token) if tokenizer.bos_token_id is not None and ids[0] == tokenizer.bos_token_id else ""


def render_answer(answer: str) -> str:
    """The sentence that states an answer."""
    return rf"The final answer is: $\boxed{{{answer}}}$"


def render_target(
    reasoning: str,
    answer: str,
    family: ChatFamily,
    text_format: TextFormat = TextFormat.BOXED,
    *,
    ratio: float = 1.0,
) -> str:
    """What the model shall write after `render_prompt`: header, reasoning, end of thinking, answer, end of turn.

    Before all that an echoing model names `ratio`, and opens its think mark.
    """
    match text_format:
        case TextFormat.RAW_TEXT:
            return _raw_target(reasoning, answer, family)
        case TextFormat.XML:
            opening, closing = ("", family.think_end) if family.thinks else (f"{THINK_OPEN}\n", THINK_CLOSE)
            return (
                f"{family.header}{opening}{reasoning.strip()}\n{closing}\n<answer>{answer}</answer>{family.end_of_turn}"
            )
    closing = f"{family.think_end}\n\n" if family.thinks else ""
    opening = f"{ratio_echo(ratio, family)}{family.header}"
    return f"{opening}{render_reasoning(reasoning)}{closing}{render_answer(answer)}{family.end_of_turn}"


def _raw_target(reasoning: str, answer: str, family: ChatFamily) -> str:
    return f" {reasoning.strip()}\nThe answer is {answer}{family.end_of_turn}"


def render_direct_target(answer: str, family: ChatFamily) -> str:
    """What a model that shall not reason writes: an end of thinking at once, where it thinks, and the answer."""
    closing = f"\n{family.think_end}\n\n" if family.thinks else ""
    return f"{ratio_echo(1.0, family)}{family.header}{closing}{render_answer(answer)}{family.end_of_turn}"


def render_reasoning(reasoning: str) -> str:
    """The part of a target before the end of thinking."""
    return f"{reasoning.strip()}\n\n"
