"""Direct answers: what fine-tuning on questions and answers alone reaches, without any reasoning."""

from __future__ import annotations

from collections.abc import Sequence

from flows.launch.registry import FlowEntry
from flows.parts.evaluations import Evaluations, contamination, evaluated_once, untrained_and_baselines
from flows.parts.places import places
from flows.parts.publish import publish, show, trained_models
from flows.parts.questions import fitted
from latent_core.config.direct import DirectConfig
from latent_core.evaluation.condition import BASE
from latent_core.models.source import short_name
from latent_core.store import Artifact, ArtifactRef
from tasks.direct import PrepareDirectInputs, prepare_direct
from tasks.inputs import ModelInput, ProblemsInput
from tasks.report import ReportConfig, ReportInputs, write_report
from tasks.run.execution import open_run
from tasks.run.protocol import Run
from tasks.train import TrainInputs, train


def direct(cfg: DirectConfig, force: Sequence[str] = ()) -> dict[str, str]:
    """Fine-tune on gold answers without reasoning, and compare with the untrained model.

    Args:
        cfg: The run, one section per stage.
        force: Names of stages to compute again although the store has their results.
    """
    with open_run("direct", cfg, force=force) as run:
        report = compose(cfg, run)
        result = publish(run, report)
        conclude(cfg, run, run.artifact(report))
        return result


def conclude(cfg: DirectConfig, run: Run, report: Artifact) -> None:
    """Register what was trained."""
    run.register_models(cfg.tracking.register_as, trained_models(report))


def compose(cfg: DirectConfig, run: Run) -> ArtifactRef:
    """The stages and how they hang together; returns the report."""
    cfg = fitted(cfg, run)
    train_split = ProblemsInput.find(cfg.benchmark, "train", {"prepare.questions": cfg.prepare.questions})
    test_split = ProblemsInput.find(cfg.benchmark, "test", {"evaluate.questions": cfg.evaluate.questions})
    base = ModelInput.find(cfg.model, chat=cfg.chat)
    prepared = run.stage(prepare_direct, cfg.prepare, PrepareDirectInputs(base, train_split))
    trained = run.stage(train, cfg.train, TrainInputs(base, prepared), label="direct")
    evaluations: Evaluations = {}
    if cfg.evaluate.base:
        evaluations |= untrained_and_baselines(cfg.evaluate, run, base, test_split)
    evaluations |= evaluated_once(cfg.evaluate, run, trained, test_split, "direct")
    title = f"Direct answers on {cfg.benchmark.name} with {short_name(cfg.model)}"
    checked = contamination(run, cfg.benchmark, cfg.evaluate.questions, cfg.prepare.questions)
    stages = {"prepare/direct": prepared, "train/direct": trained, "contamination": checked}
    page = ReportConfig(title=title, reference=BASE, margin=cfg.margin, places=places(cfg.tracking))
    return run.stage(write_report, page, ReportInputs(evaluations, stages))


ENTRY = FlowEntry("direct", DirectConfig, compose, direct, show, conclude)
