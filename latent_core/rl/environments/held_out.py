"""Seeds for evaluation whose instances did not occur in training: different seeds may have the same instance."""

from __future__ import annotations

from collections.abc import Iterable

from latent_core.errors import InputError
from latent_core.rl.environments.protocol import EnvironmentSpec

TRIES = 100  # seeds looked at for each one wanted, before giving up


def held_out_seeds(spec: EnvironmentSpec, count: int, *, trained_on: Iterable[int], first: int) -> list[int]:
    """The next `count` seeds from `first` on whose first observation is that of no seed of `trained_on`.

    Raises InputError where too few are found, because the training seeds have nearly all instances.
    """
    environment = spec.open()
    seen = {environment.reset(seed)[0] for seed in trained_on}
    found: list[int] = []
    for seed in range(first, first + TRIES * count):
        if environment.reset(seed)[0] not in seen:
            found.append(seed)
        if len(found) == count:
            return found
    raise InputError(
        f"environment: {spec.name} has {len(found)} instances apart from those of training among {TRIES * count} "
        f"seeds, {count} are wanted; train on fewer seeds"
    )
