"""Stages `label_words` and `train_compressor`: our own token classifier for LLMLingua-2 compression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from latent_core.benchmarks.problem import Problem
from latent_core.compressor_training.answer_labels import Reader, Solutions, answer_ablation_labels, answer_aware_labels
from latent_core.compressor_training.conversation import PLAIN_TEXT, Conversation, own_conversation
from latent_core.compressor_training.labels import LabelledText, surprisal_labels
from latent_core.compressor_training.training import TrainingSettings, train_token_classifier
from latent_core.config.label_words import LabelKind, LabelReading, LabelWordsConfig
from latent_core.config.train_compressor import TrainCompressorConfig
from latent_core.store import Artifact, ArtifactRef, ArtifactWriter
from tasks.inputs import Input, ModelInput, ProblemsInput, numbered
from tasks.stage import Outcome, Workplace, stage

LABELLED, HELD_OUT = "labelled.parquet", "held_out.parquet"
TEXTS_PER_CALL = 64  # texts labelled between two reports of progress


class LabelWordsInputs(NamedTuple):
    """The training split, whose rationales are labelled, and the model whose log-probabilities decide."""

    problems: ProblemsInput
    labeller: ModelInput


class TrainCompressorInputs(NamedTuple):
    """Labelled words: of one benchmark, or of several."""

    labels: ArtifactRef | None = None
    corpora: tuple[ArtifactRef, ...] = ()

    def roles(self) -> dict[str, Input]:
        one: dict[str, Input] = {} if self.labels is None else {"labels": self.labels}
        return one | numbered("labels", self.corpora)


@stage("label_words", version=2)
def label_words(
    out: ArtifactWriter, inputs: LabelWordsInputs, config: LabelWordsConfig, workplace: Workplace
) -> Outcome:
    ints = pa.list_(pa.int32())
    schema = pa.schema([("text", pa.string()), ("starts", ints), ("ends", ints), ("labels", ints)])
    problems = inputs.problems.open().problems(0, config.questions + config.held_out)
    with_rationale = [problem for problem in problems if problem.rationale]
    labeller = workplace.model_dir(inputs.labeller)
    conversation = own_conversation(labeller) if config.reading is LabelReading.CONVERSATION else PLAIN_TEXT
    held_out_ids = {problem.question_id for problem in problems[config.questions :]}
    seen: set[str] = set()
    repeated = 0
    with out.table(LABELLED, schema) as labelled, out.table(HELD_OUT, schema) as held_out:
        for start in range(0, len(with_rationale), TEXTS_PER_CALL):
            block = with_rationale[start : start + TEXTS_PER_CALL]
            for problem, row in zip(block, _labels(block, labeller, config.kind, conversation), strict=True):
                if row.text in seen:
                    repeated += 1
                    continue
                seen.add(row.text)
                (held_out if problem.question_id in held_out_ids else labelled).add(
                    {
                        "text": row.text,
                        "starts": row.spans[:, 0].tolist(),
                        "ends": row.spans[:, 1].tolist(),
                        "labels": row.labels.tolist(),
                    }
                )
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


@stage("train_compressor", version=1)
def train_compressor(
    out: ArtifactWriter, inputs: TrainCompressorInputs, config: TrainCompressorConfig, workplace: Workplace
) -> Outcome:
    corpora = [workplace.artifact(ref) for ref in (inputs.labels, *inputs.corpora) if ref is not None]
    rows = [row for corpus in corpora for row in _read(corpus, LABELLED)]
    held_out = [row for corpus in corpora for row in _read(corpus, HELD_OUT)]
    settings = TrainingSettings(**config.model_dump())
    with out.directory("model") as directory:
        report = train_token_classifier(
            rows, directory, held_out=held_out, settings=settings, checkpoints=workplace.scratch / "checkpoints"
        )
    metrics = asdict(report)
    return Outcome(
        accounting={"kept": len(rows), "held_out": len(held_out)},
        record={"train_seconds": metrics.pop("seconds")},
        metrics=metrics,
    )


def _read(corpus: Artifact, name: str) -> list[LabelledText]:
    return [
        LabelledText(
            row["text"],
            np.asarray([row["starts"], row["ends"]], dtype=np.int64).T.reshape(-1, 2),
            np.asarray(row["labels"], dtype=np.int64),
        )
        for row in corpus.rows_of(name)
    ]
