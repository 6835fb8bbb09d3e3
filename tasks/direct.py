"""Stage `prepare_direct`: training examples of questions and gold answers, without reasoning."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from latent_core.config.direct import DirectExamplesConfig
from latent_core.methods.direct import direct_examples
from latent_core.models.readable import ReadableModel
from latent_core.store import ArtifactWriter
from tasks.inputs import Model, ProblemsInput
from tasks.stage import Outcome, Workplace, stage
from tasks.writing import write_examples


class PrepareDirectInputs(NamedTuple):
    """The training split, and the model that is trained on its answers."""

    model: Model
    problems: ProblemsInput


@stage("prepare_direct", version=1)
def prepare_direct(
    out: ArtifactWriter, inputs: PrepareDirectInputs, config: DirectExamplesConfig, workplace: Workplace
) -> Outcome:
    accounting: Counter[str] = Counter()
    problems = inputs.problems.open().problems(0, config.questions)
    model = ReadableModel.load(workplace.model_dir(inputs.model))
    return write_examples(out, direct_examples(problems, model, config, accounting), accounting)
