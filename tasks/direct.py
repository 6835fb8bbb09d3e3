"""Stage `prepare_direct`: training examples of questions and gold answers, without reasoning."""

from __future__ import annotations

from collections import Counter

from latent_core.config.direct import DirectExamplesConfig
from latent_core.generate.completions import ReadableModel
from latent_core.methods.direct import direct_examples
from latent_core.store import ArtifactWriter
from tasks.prepare import write_examples
from tasks.stage import Inputs, Outcome, Stage, Workplace


def prepare_direct(out: ArtifactWriter, inputs: Inputs, config: DirectExamplesConfig, workplace: Workplace) -> Outcome:
    accounting: Counter[str] = Counter()
    problems = inputs.problems("problems").problems(0, config.questions)
    model = ReadableModel.load(inputs.model_dir("model"))
    return write_examples(out, direct_examples(problems, model, config, accounting), accounting)


PREPARE_DIRECT = Stage("prepare_direct", 1, prepare_direct)
