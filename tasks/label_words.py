"""Stage `label_words`: which words of worked solutions a compressor is to keep, as a language model sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from latent_core.benchmarks.problem import Problem
from latent_core.compress.conversation import PLAIN_TEXT, Conversation, own_conversation
from latent_core.compress.solutions import Solutions
from latent_core.compressor_training.answer_labels import Reader, answer_ablation_labels, answer_aware_labels
from latent_core.compressor_training.labels import LabelledText, surprisal_labels
from latent_core.config.label_words import LabelKind, LabelReading, LabelWordsConfig
from latent_core.store import ArtifactWriter
from tasks.inputs import ModelInput, ProblemsInput
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import HELD_OUT, LABELLED

TEXTS_PER_CALL = 64  # texts labelled between two reports of progress


class LabelWordsInputs(NamedTuple):
    """The training split, whose rationales are labelled, and the model whose log-probabilities decide."""

    problems: ProblemsInput
    labeller: ModelInput


@stage("label_words", version=2)
def label_words(
    out: ArtifactWriter, inputs: LabelWordsInputs, config: LabelWordsConfig, workplace: Workplace
) -> Outcome:
    problems = inputs.problems.open().problems(0, config.questions + config.held_out)
    with_rationale = [problem for problem in problems if problem.rationale]
    labeller = workplace.model_dir(inputs.labeller)
    conversation = own_conversation(labeller) if config.reading is LabelReading.CONVERSATION else PLAIN_TEXT
    held_out_ids = {problem.question_id for problem in problems[config.questions :]}
    seen: set[str] = set()
    repeated = 0
    with LABELLED.write(out) as labelled, HELD_OUT.write(out) as held_out:
        for start in range(0, len(with_rationale), TEXTS_PER_CALL):
            block = with_rationale[start : start + TEXTS_PER_CALL]
            for problem, row in zip(block, _labels(block, labeller, config.kind, conversation), strict=True):
                if row.text in seen:
                    repeated += 1
                    continue
                seen.add(row.text)
                (held_out if problem.question_id in held_out_ids else labelled).add(row.to_row())
            workplace.progress(min(start + TEXTS_PER_CALL, len(with_rationale)), len(with_rationale), 0)
        kept = labelled.rows + held_out.rows
    return Outcome(accounting={"kept": kept, "no_rationale": len(problems) - len(with_rationale), "repeated": repeated})


def _labels(
    block: Sequence[Problem], labeller: Path, kind: LabelKind, conversation: Conversation
) -> list[LabelledText]:
    texts = [str(problem.rationale).split("####")[0].strip() for problem in block]
    questions = [problem.question for problem in block]
    if kind is LabelKind.SURPRISAL:
        return surprisal_labels(texts, questions, labeller, prompt=conversation.prompt)
    solutions = Solutions(texts, questions, [problem.gold for problem in block])
    reader = Reader(labeller, conversation)
    if kind is LabelKind.ANSWER_AWARE:
        return answer_aware_labels(solutions, reader)
    return answer_ablation_labels(solutions, reader)
