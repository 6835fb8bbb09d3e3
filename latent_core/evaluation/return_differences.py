"""How much more agents return than a control, paired by instance and, where the control was trained, by seed.

A start model is one model, and what it returned by chance on these instances is the same for every agent that is held
against it: agents' seeds alone would say nothing of that. So an interval is over seeds and instances, and never
narrower than Student's over the seeds' means (see `crossed_bootstrap.uncertainties`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from latent_core.errors import InputError
from latent_core.evaluation.crossed_bootstrap import draw, over_seeds, uncertainties, widest
from latent_core.evaluation.statistics import Estimate

Returns = Mapping[int, float]
"""One model's mean return on each instance that it played."""
_RESAMPLES, _SEED = 10_000, 20_251_128  # of the bootstrap: the same returns give the same interval


@dataclass(frozen=True)
class ReturnDifference:
    """Mean return of the agents less that of `control`, over the `instances` that all of these models played.

    `interval` has 95 %; None for agents of one seed.
    """

    control: str
    value: float
    interval: Estimate | None
    each_seed: tuple[float, ...]
    instances: int


def return_difference(control: str, agents: Sequence[Returns], controls: Sequence[Returns]) -> ReturnDifference:
    """`controls` has a model for each of the agents, in their order, or one for all of them.

    Raises InputError for another number of them, and where no instance was played by all.
    """
    if len(controls) not in (1, len(agents)):
        raise InputError(f"{control}: {len(controls)} models for {len(agents)} agents; give one, or one for each")
    shared = sorted(set.intersection(*(set(returns) for returns in (*agents, *controls))))
    if not shared:
        raise InputError(f"{control}: no instance was played by all models, so their returns cannot be compared")
    trained, against = (np.array([[one[instance] for instance in shared] for one in of]) for of in (agents, controls))
    cells = trained - against  # (seeds, instances); one control is that of every seed
    each_seed, value = cells.mean(axis=1), float(cells.mean())
    interval = None
    if len(agents) > 1 and len(shared) > 1:
        draws = draw(*cells.shape, resamples=_RESAMPLES, seed=_SEED)
        interval = widest(value, uncertainties(cells, draws))
    elif len(agents) > 1:
        interval = over_seeds(each_seed).interval(value)
    return ReturnDifference(control, value, interval, tuple(map(float, each_seed)), len(shared))
