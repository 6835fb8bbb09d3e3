"""How many questions a run uses: all of a user's own file, where the parameters say more than it holds."""

from __future__ import annotations

from typing import TypeVar

from latent_core.benchmarks.registry import open_split
from latent_core.config.base import StageConfig
from latent_core.config.benchmark import BenchmarkConfig
from tasks.run.protocol import Run

C = TypeVar("C", bound=StageConfig)
# The sections that take the first so many questions of a split. Those of `grpo` and `labels` are not among them: other
# numbers there hang on the number of questions, so that too many stay a mistake.
_SPLITS = {"evaluate": "test", "collect": "train", "warm_start": "train", "prepare": "train"}


def fitted(cfg: C, run: Run) -> C:
    """A flow's parameters, asking for no more questions than there are where the benchmark is the user's own file.

    So the number that enters identities is the real one. Of a benchmark with a known size too many are a mistake, which
    `ProblemsInput.find` names. Raises InputError for a file that cannot be read.
    """
    benchmark = getattr(cfg, "benchmark", None)
    if not isinstance(benchmark, BenchmarkConfig) or benchmark.name != "file":
        return cfg
    for section in _SPLITS:
        settings = getattr(cfg, section, None)
        wanted = getattr(settings, "questions", None)
        if section == "collect" and settings is not None and not settings.samples_model:
            continue
        if settings is not None and wanted is not None:
            there = fitted_questions(benchmark, section, wanted, run)
            cfg = cfg.model_copy(update={section: settings.model_copy(update={"questions": there})})
    return cfg


def fitted_questions(benchmark: BenchmarkConfig, section: str, wanted: int, run: Run) -> int:
    """As `questions_there`; the run warns where the file holds fewer than `wanted`."""
    there = questions_there(benchmark, section, wanted)
    if there < wanted:
        split = _SPLITS[section]
        run.warn(f"{section}.questions: {wanted} are more than the {split} file holds, {there}: all of them are used")
    return there


def questions_there(benchmark: BenchmarkConfig, section: str, wanted: int) -> int:
    """`wanted` questions for a section of the parameters, or all that the user's own file holds."""
    count = open_split(benchmark, _SPLITS[section]).count if benchmark.name == "file" else None
    return wanted if count is None else min(wanted, count)
