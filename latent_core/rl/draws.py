"""What a step draws: its questions and their ratios, from the seed and the step alone.

Nothing is carried from step to step, so a run that goes on from a checkpoint draws what it would have drawn without the
interruption, in whatever epoch it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latent_core.errors import InputError
from latent_core.generate.engine import item_seed


def questions_of(seed: int, draw: int, *, questions: int, per_step: int) -> list[int]:
    """Numbers of the `per_step` questions of the `draw`-th batch of rollouts, all different.

    An epoch takes the questions in an order of its own; what is left of them when they no longer fill a batch is left
    out, and comes up in other epochs. Raises InputError for fewer questions than a batch needs.
    """
    if per_step > questions:
        raise InputError(f"grpo.questions_per_step: {per_step} are more than the {questions} questions")
    epoch, place = divmod(draw, questions // per_step)
    order = np.random.default_rng([seed, epoch]).permutation(questions)
    return [int(number) for number in order[place * per_step : (place + 1) * per_step]]


def instances_of(seed: int, draw: int, per_step: int, below: int) -> list[int]:
    """Seeds of the instances that are played in the `draw`-th batch of rollouts, each at least 0 and under `below`."""
    return [item_seed(seed, f"{draw}/{place}/instance", 0) % below for place in range(per_step)]


def ratio_of(seed: int, step: int, question_id: str, ratios: Sequence[float]) -> float:
    """The ratio that a question is asked for at a step: any of them, whatever the question's number and difficulty."""
    return ratios[item_seed(seed, f"{step}/{question_id}/ratio", 0) % len(ratios)]
