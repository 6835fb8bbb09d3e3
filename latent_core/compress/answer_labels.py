"""Labels that know the answer: a word is worth keeping where the answer becomes less likely without it.

Surprisal (`labels`) drops what is predictable, the result of a calculation among it. Here every unit is taken out once,
and what counts is the drop in log P(gold answer | question, reasoning): leave-one-out importance (Li et al., arXiv
1612.08220), with a language model as the reader.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from latent_core.compress.causal import CausalScorer
from latent_core.compress.labels import LabelledText, question_prompt
from latent_core.compress.spans import join_spans, split_units
from latent_core.errors import InputError


def answer_cue(gold: str) -> tuple[str, str]:
    """What follows the reasoning: the words that ask for the answer, and the answer, whose probability counts."""
    return "\n\nThe final answer is: $\\boxed{", f"{gold}}}$"


def answer_aware_labels(
    texts: Sequence[str],
    questions: Sequence[str],
    golds: Sequence[str],
    causal_lm_dir: str | os.PathLike[str],
    *,
    prompt: Callable[[str], str] = question_prompt,
    cue: Callable[[str], tuple[str, str]] = answer_cue,
    batch_tokens: int = 4_096,
    device: str | None = None,
) -> list[LabelledText]:
    """Label 1 the units whose drop exceeds the median of their text, else 0."""
    drops = answer_drops(
        texts, questions, golds, causal_lm_dir, prompt=prompt, cue=cue, batch_tokens=batch_tokens, device=device
    )
    return [
        LabelledText(
            text, split_units(text), (own > np.median(own)).astype(np.int64) if len(own) else np.zeros(0, np.int64)
        )
        for text, own in zip(texts, drops, strict=True)
    ]


def answer_drops(
    texts: Sequence[str],
    questions: Sequence[str],
    golds: Sequence[str],
    causal_lm_dir: str | os.PathLike[str],
    *,
    prompt: Callable[[str], str] = question_prompt,
    cue: Callable[[str], tuple[str, str]] = answer_cue,
    batch_tokens: int = 4_096,
    device: str | None = None,
) -> list[NDArray[np.float64]]:
    """log P(gold | question, text) - log P(gold | question, text without the unit), in nats, shape (units,) per text.

    Costs one row of the model a unit; the rows of one text share batches of at most `batch_tokens` positions. What is
    left of a text is joined as a compression would be. Raises InputError when texts, questions and golds differ in
    number, the directory is missing, a row exceeds the model's context, or a prompt or an answer is empty.
    """
    if not len(texts) == len(questions) == len(golds):
        raise InputError(
            f"questions, golds: {len(questions)} questions and {len(golds)} answers for {len(texts)} texts; give each "
            "text one of both"
        )
    scorer = CausalScorer(causal_lm_dir, device)
    results = []
    for index, (text, question, gold) in enumerate(zip(texts, questions, golds, strict=True)):
        opening = scorer.tokenizer(prompt(question))["input_ids"]
        asks, answer = (scorer.ids(part) for part in cue(gold))
        if not opening or not gold.strip():
            raise InputError(f"golds, prompt: text {index} needs a prompt with at least one token, and an answer")
        tail = [*asks, *answer]
        rows = [[*opening, *scorer.ids(variant), *tail] for variant in (text, *without_each_unit(text))]
        if max(map(len, rows)) > scorer.context:
            raise InputError(
                f"texts: text {index} with its question and answer has {max(map(len, rows))} tokens, more than the "
                f"LM's {scorer.context}"
            )
        logs = np.zeros(len(rows))
        for row, own in scorer.log_probabilities(rows, batch_tokens):
            logs[row] = own[len(own) - len(answer) :].sum()
        results.append(logs[0] - logs[1:])
    return results


def without_each_unit(text: str) -> list[str]:
    """The text once for each of its units, that unit left out."""
    spans = [(start, end) for start, end in split_units(text).tolist()]
    return [
        join_spans(text, spans, [other for other in range(len(spans)) if other != unit]) for unit in range(len(spans))
    ]
