"""Stage `contamination`: which evaluated test questions the training questions also hold."""

from __future__ import annotations

import json
from typing import Annotated, NamedTuple

from pydantic import Field

from latent_core.benchmarks.contamination import find_contamination, training_stream
from latent_core.config.base import IDENTITY, StageConfig
from latent_core.store import ArtifactWriter
from tasks.findings import CONTAMINATED
from tasks.inputs import ProblemsInput
from tasks.stage import Outcome, Workplace, stage


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
