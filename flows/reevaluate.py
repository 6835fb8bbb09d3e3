"""Evaluation of one model over ratios: `latent eval`, and every night on a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.evaluations import evaluated_at_ratios
from flows.registry import FlowEntry
from flows.results import publish, show
from latent_core.config.reevaluate import ReevaluateConfig
from tasks.report import REPORT, ReportConfig
from tasks.run import Pending, Run, open_run
from tasks.stage import ModelInput, ProblemsInput


@flow(name="reevaluate", task_runner=ThreadPoolTaskRunner(), validate_parameters=True)  # type: ignore[arg-type]
def reevaluate(cfg: ReevaluateConfig, force: Sequence[str] = ()) -> dict[str, str]:
    """Evaluate a model at every ratio and report.

    Args:
        cfg: The model, the problems and the ratios.
        force: Names of stages to compute again although the store has their results.
    """
    with open_run("reevaluate", cfg, force=force) as run:
        return publish(run, compose(cfg, run))


def compose(cfg: ReevaluateConfig, run: Run) -> Pending:
    """One evaluation per ratio, and the report over them."""
    problems = ProblemsInput.find(cfg.benchmark, "test")
    model = ModelInput.find(cfg.model)
    evaluations = evaluated_at_ratios(cfg.evaluate, run, model, problems, "model")
    title = f"{cfg.model} on {cfg.benchmark.name}"
    return run.stage(REPORT, ReportConfig(title=title), evaluations)


ENTRY = FlowEntry(ReevaluateConfig, partial(open_run, "reevaluate"), compose, reevaluate, show)
