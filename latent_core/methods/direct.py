"""Direct answers: training examples of a question and its gold answer, without reasoning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from latent_core import prompts
from latent_core.benchmarks.problem import Problem
from latent_core.config.direct import DirectExamplesConfig
from latent_core.models.readable import ReadableModel
from latent_core.sft.examples import Prompt, fits, tokenised_example


def direct_examples(
    problems: Iterable[Problem], model: ReadableModel, config: DirectExamplesConfig, accounting: Counter[str]
) -> Iterator[dict[str, Any]]:
    """One example a problem, with the prompt of every other method; `accounting` counts each as kept or too_long."""
    for problem in problems:
        example = tokenised_example(
            {"question_id": problem.question_id, "sample_index": 0},
            Prompt.of(model, problem.question),
            prompts.render_direct_target(problem.gold, model.family),
            model,
            validation_share=config.validation_share,
            seed=config.seed,
        )
        if fits(example, config.max_length, accounting):
            yield example
