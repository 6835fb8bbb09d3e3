"""Stage `reference_lengths`: how long the start model reasons on each training question, when nothing is asked for.

Length rewards name their targets as shares of these lengths. They are in the start model's own tokens, so that training
cannot move them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from latent_core.config.lengths import ReferenceLengths
from latent_core.rl.lengths import mean_where_none, reference_lengths
from latent_core.store import ArtifactWriter
from tasks.inputs import Model, ProblemsInput
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import REFERENCES
from tasks.writing import write_collection


class ReferenceLengthsInputs(NamedTuple):
    """The start model, and the training split."""

    model: Model
    problems: ProblemsInput


@stage("reference_lengths", version=1)
def measure_reference_lengths(
    out: ArtifactWriter, inputs: ReferenceLengthsInputs, config: ReferenceLengths, workplace: Workplace
) -> Outcome:
    source = inputs.problems.open()
    problems = source.problems(0, config.questions)
    questions: list[str] = []
    correct: list[bool] = []
    lengths: list[int] = []

    def seen(row: Mapping[str, Any]) -> None:
        questions.append(row["question_id"])
        correct.append(row["verdict"] == "correct")
        lengths.append(row["reasoning_tokens"])

    written = write_collection(
        out, inputs.model, problems, config.sampling, workplace, benchmark=source.name, seen=seen
    )
    own = reference_lengths(questions, correct, lengths)
    right = Counter(question for question, is_right in zip(questions, correct, strict=True) if is_right)
    references = mean_where_none(own, dict.fromkeys(questions))
    with REFERENCES.write(out) as table:
        for question, tokens in references.items():
            row = {"question_id": question, "tokens": tokens, "own": question in own, "correct": right[question]}
            table.add(row)
    mean = sum(own.values()) / len(own)
    return replace(
        written,
        accounting={"own_length": len(own), "mean_length": len(references) - len(own)},
        metrics={**written.metrics, "mean_tokens": mean},
    )
