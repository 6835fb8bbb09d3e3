"""Stage `contamination`: which evaluated test questions the training questions also hold."""

from __future__ import annotations

import json
from typing import Annotated, NamedTuple

from pydantic import Field

from latent_core.benchmarks.contamination import find_contamination, training_stream
from latent_core.config.base import IDENTITY, StageConfig
from latent_core.store import Artifact, ArtifactWriter
from tasks.inputs import ProblemsInput
from tasks.stage import Outcome, Workplace, stage

QUESTIONS = "contamination.json"  # {"equal": [question ids], "overlapping": [question ids]}


class CheckContamination(StageConfig):
    """How many questions of each split are compared."""

    questions: Annotated[int, IDENTITY, Field(ge=1)]
    """Of the test split, from its start: those that are evaluated."""
    training: Annotated[int, IDENTITY, Field(ge=1)]
    """Of the training split, from its start: those that the run trains on."""


class ContaminationInputs(NamedTuple):
    """The two splits of a benchmark."""

    test: ProblemsInput
    training: ProblemsInput


@stage("contamination", version=1, shown=True)
def check_contamination(
    out: ArtifactWriter, inputs: ContaminationInputs, config: CheckContamination, workplace: Workplace
) -> Outcome:
    test, training = inputs.test.open(), inputs.training.open()
    found = find_contamination(test.problems(0, config.questions), training_stream(training, config.training))
    with out.open(QUESTIONS) as listing:
        listing.write(json.dumps({"equal": found.equal, "overlapping": found.overlapping}, indent=1).encode())
    return Outcome(
        accounting={
            "kept": found.tested - len(found.question_ids),
            "equal_to_training": len(found.equal),
            "overlap_training": len(found.overlapping),
        },
        metrics={"tested": found.tested, "training": found.training, "procedural": int(test.count is None)},
    )


def finding(artifact: Artifact) -> str:
    """What a finished check found, in sentences."""
    content = artifact.manifest.content
    counts, metrics = content.accounting, content.metrics
    equal, overlapping = counts["equal_to_training"], counts["overlap_training"]
    text = (
        f"Contamination: of {metrics['tested']:,} test questions, {equal:,} are also among the {metrics['training']:,} "
        f"training questions, and {overlapping:,} more share 13 words in a row with one."
    )
    if not equal + overlapping:
        return text
    if metrics["procedural"]:
        return (
            f"{text} Questions made from templates share sentences by design; only equal ones are to be worried about."
        )
    return f"{text} benchmark.drop_contaminated=true leaves them out; their ids are in {artifact.ref}/{QUESTIONS}."
