"""Reinforcement learning: a model that reasons already, visible or latent, learns from what its answers are worth."""

from __future__ import annotations

from collections.abc import Sequence

from flows.launch.registry import FlowEntry
from flows.parts.engines import require_rollout_engine
from flows.parts.evaluations import contamination, evaluated_at_ratios
from flows.parts.lengths import measured_lengths
from flows.parts.places import places
from flows.parts.publish import publish, show
from flows.parts.questions import fitted
from flows.parts.ratios import check_asked, ratio_tokens_of, trained_ratios, warn_of_untrained
from latent_core.config.grpo import GrpoFlowConfig
from latent_core.evaluation.condition import Kind
from latent_core.models.source import short_name
from latent_core.store import Artifact, ArtifactRef
from tasks.grpo import GrpoInputs, train_policy
from tasks.inputs import ProblemsInput
from tasks.report import ReportConfig, ReportInputs, write_report
from tasks.run.execution import open_run
from tasks.run.protocol import Run
from tasks.tracking.models import find_model

TRAINED = "train/grpo"  # the trained model's role in the report


def grpo(cfg: GrpoFlowConfig, force: Sequence[str] = ()) -> dict[str, str]:
    """Train a model with verifiable rewards, and evaluate it before and after.

    Args:
        cfg: The run, one section per stage.
        force: Names of stages to compute again although the store has their results.
    """
    with open_run("grpo", cfg, force=force) as run:
        report = compose(cfg, run)
        result = publish(run, report)
        conclude(cfg, run, run.artifact(report))
        return result


def conclude(cfg: GrpoFlowConfig, run: Run, report: Artifact) -> None:
    """Register what was trained."""
    trained = ArtifactRef(train_policy.name, report.manifest.content.parents[TRAINED].fingerprint)
    run.register_models(cfg.tracking.register_as, {"policy": trained})


def compose(cfg: GrpoFlowConfig, run: Run) -> ArtifactRef:
    """The stages and how they hang together; returns the report."""
    cfg = fitted(cfg, run)
    train_split = ProblemsInput.find(cfg.benchmark, "train", {"grpo.questions": cfg.grpo.questions})
    test_split = ProblemsInput.find(cfg.benchmark, "test", {"evaluate.questions": cfg.evaluate.questions})
    start = find_model(cfg.model, run.store, cfg.tracking, cfg.chat)
    tokens = ratio_tokens_of(start, run.store)
    check_asked(tokens, "grpo.ratios", cfg.grpo.ratios)
    check_asked(tokens, "evaluate.ratios", cfg.evaluate.ratios, cfg.evaluate.auto_ratio)
    known = trained_ratios(start, run.store)
    warn_of_untrained(run, cfg.evaluate.ratios, None if known is None else known | set(cfg.grpo.ratios), cfg.model)
    references = measured_lengths(cfg.grpo, run, start, train_split)
    inputs = GrpoInputs(start, train_split, references)
    trained = run.stage(train_policy, cfg.grpo, inputs, rows=cfg.grpo.completions)
    require_rollout_engine("grpo.rollout", cfg.grpo.rollout, cfg.runtime, run, [trained])
    evaluations = evaluated_at_ratios(cfg.evaluate, run, start, test_split, "policy", Kind.START)
    evaluations |= evaluated_at_ratios(cfg.evaluate, run, trained, test_split, "policy", Kind.GRPO)
    checked = contamination(run, cfg.benchmark, cfg.evaluate.questions, cfg.grpo.questions)
    title = f"Reinforcement learning on {cfg.benchmark.name} from {short_name(cfg.model)}"
    stages = {TRAINED: trained, "contamination": checked}
    if references is not None:
        stages["reference_lengths"] = references
    page = ReportConfig(title=title, margin=cfg.margin, places=places(cfg.tracking))
    return run.stage(write_report, page, ReportInputs(evaluations, stages))


ENTRY = FlowEntry("grpo", GrpoFlowConfig, compose, grpo, show, conclude)
