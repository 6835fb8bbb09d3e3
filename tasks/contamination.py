"""Stage `contamination`: which evaluated test questions the training questions also hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Annotated, NamedTuple

from pydantic import Field

from latent_core.benchmarks.contamination import find_contamination, training_stream
from latent_core.benchmarks.problem import Problem
from latent_core.config.base import IDENTITY, StageConfig
from latent_core.store import Artifact, ArtifactRef, ArtifactWriter
from tasks.findings import CONTAMINATED
from tasks.inputs import ProblemsInput
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import SAMPLES


class CheckContamination(StageConfig):
    """How many questions of each split are compared."""

    questions: Annotated[int, IDENTITY, Field(ge=1)]
    """Of the test split, from its start: those that are evaluated."""
    training: Annotated[int | None, IDENTITY, Field(ge=1)]
    """Of the training split, from its start: those that the run trains on; None for all questions of samples."""


class ContaminationInputs(NamedTuple):
    """The test split of a benchmark, and its training split or the samples that are trained on."""

    test: ProblemsInput
    training: ProblemsInput | ArtifactRef


@stage("contamination", version=1, shown=True)
def check_contamination(
    out: ArtifactWriter, inputs: ContaminationInputs, config: CheckContamination, workplace: Workplace
) -> Outcome:
    test = inputs.test.open()
    if isinstance(inputs.training, ArtifactRef):
        training = _questions_of(workplace.artifact(inputs.training))
    else:
        training = training_stream(inputs.training.open(), config.training)
    found = find_contamination(test.problems(0, config.questions), training)
    with out.open(CONTAMINATED) as listing:
        listing.write(json.dumps({"equal": found.equal, "overlapping": found.overlapping}, indent=1).encode())
    return Outcome(
        accounting={
            "kept": found.tested - len(found.question_ids),
            "equal_to_training": len(found.equal),
            "overlap_training": len(found.overlapping),
        },
        metrics={"tested": found.tested, "training": found.training, "procedural": int(test.count is None)},
    )


def _questions_of(samples: Artifact) -> Iterator[Problem]:
    """Every question of a collection once; its samples lie together."""
    rows = SAMPLES.rows(samples, ("question_id", "question"))
    for question_id, group in groupby(rows, key=itemgetter("question_id")):
        yield Problem(question_id, next(group)["question"], "")
