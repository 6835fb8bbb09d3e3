"""Reinforcement learning: a model that reasons already, visible or latent, learns from what its answers are worth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.evaluations import contamination, evaluated_at_ratios
from flows.questions import fitted
from flows.registry import FlowEntry
from flows.results import publish, show
from latent_core.config.grpo import GrpoFlowConfig
from latent_core.store import ArtifactRef
from tasks.grpo import GRPO
from tasks.registry import find_model
from tasks.report import REPORT, ReportConfig
from tasks.run import Pending, Run, open_run
from tasks.stage import ProblemsInput

TRAINED = "train/grpo"  # the trained model's role in the report


@flow(name="grpo", task_runner=ThreadPoolTaskRunner(), validate_parameters=True)  # type: ignore[arg-type]
def grpo(cfg: GrpoFlowConfig, force: Sequence[str] = ()) -> dict[str, str]:
    """Train a model with verifiable rewards, and evaluate it before and after.

    Args:
        cfg: The run, one section per stage.
        force: Names of stages to compute again although the store has their results.
    """
    with open_run("grpo", cfg, force=force) as run:
        report = compose(cfg, run)
        result = publish(run, report)
        trained = run.artifact(report).manifest.content.parents[TRAINED]
        run.register_models({"policy": ArtifactRef(GRPO.name, trained)})
        return result


def compose(cfg: GrpoFlowConfig, run: Run) -> Pending:
    """The stages and how they hang together; returns the report."""
    cfg = fitted(cfg)
    train_split = ProblemsInput.find(cfg.benchmark, "train", {"grpo.questions": cfg.grpo.questions})
    test_split = ProblemsInput.find(cfg.benchmark, "test", {"evaluate.questions": cfg.evaluate.questions})
    start = find_model(cfg.model, run.store, cfg.tracking)
    trained = run.stage(GRPO, cfg.grpo, {"model": start, "problems": train_split}, rows=cfg.grpo.completions)
    evaluations = evaluated_at_ratios(cfg.evaluate, run, start, test_split, "policy", "start")
    evaluations |= evaluated_at_ratios(cfg.evaluate, run, trained, test_split, "policy", "grpo")
    checked = contamination(run, cfg.benchmark, cfg.evaluate.questions, cfg.grpo.questions)
    title = f"Reinforcement learning on {cfg.benchmark.name} from {cfg.model}"
    stages = {TRAINED: trained, "contamination": checked}
    return run.stage(REPORT, ReportConfig(title=title), {**evaluations, **stages})


ENTRY = FlowEntry(GrpoFlowConfig, partial(open_run, "grpo"), compose, grpo, show)
