"""A flow that fails as the word says: python -m tests.support.failing_flow regression|failure."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace

from flows.launch.registry import find_flow
from latent_core.config.reevaluate import ReevaluateConfig
from latent_core.errors import LatentError, RegressionFound, StageFailed


def fail(cfg: ReevaluateConfig, force: list[str]) -> dict[str, str]:
    """Raise what the flow would."""
    if cfg.model == "regression":
        raise RegressionFound("models:/toy@champion got worse since its last accepted evaluation: ratio 0.5")
    raise StageFailed("train dual: out of memory")


if __name__ == "__main__":
    with suppress(LatentError):
        replace(find_flow("reevaluate"), execute=fail).flow()(ReevaluateConfig(model=sys.argv[1]), [])
