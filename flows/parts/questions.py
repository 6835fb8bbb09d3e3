"""How many questions a run uses: all of a user's own file, where the parameters say more than it holds."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TypeVar

from latent_core.benchmarks.registry import open_split
from latent_core.config.base import StageConfig
from latent_core.config.benchmark import BenchmarkConfig

C = TypeVar("C", bound=StageConfig)

logger = logging.getLogger("latent")
# The sections that take the first so many questions of a split. Those of `grpo` and `labels` are not among them: other
# numbers there hang on the number of questions, so that too many stay a mistake.
_SPLITS = {"evaluate": "test", "collect": "train", "warm_start": "train", "prepare": "train"}


def fitted(cfg: C) -> C:
    """A flow's parameters, asking for no more questions than there are where the benchmark is the user's own file.

    So the number that enters identities is the real one. Of a benchmark with a known size too many are a mistake, which
    `ProblemsInput.find` names. Raises InputError for a file that cannot be read.
    """
    benchmark = getattr(cfg, "benchmark", None)
    if not isinstance(benchmark, BenchmarkConfig) or benchmark.name != "file":
        return cfg
    for section in _SPLITS:
        settings = getattr(cfg, section, None)
        asked = getattr(settings, "questions", None)
        if settings is not None and asked is not None:
            there = questions_there(benchmark, section, asked)
            cfg = cfg.model_copy(update={section: settings.model_copy(update={"questions": there})})
    return cfg


def questions_there(benchmark: BenchmarkConfig, section: str, asked: int) -> int:
    """`asked` questions for a section of the parameters, or all that the user's own file holds, which is said."""
    if benchmark.name != "file":
        return asked
    split = _SPLITS[section]
    count = open_split(benchmark, split).count
    if count is None or asked <= count:
        return asked
    _say(f"{section}.questions", asked, count, split)
    return count


@lru_cache(maxsize=64)  # a flow is planned and then executed: once is enough
def _say(parameter: str, asked: int, count: int, split: str) -> None:
    logger.warning("%s: %d are more than the %s file holds, %d: all of them are used", parameter, asked, split, count)
