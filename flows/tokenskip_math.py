"""The main job: teach a standard and a dual-vocabulary model to reason at a requested ratio (TokenSkip)."""

from __future__ import annotations

from collections.abc import Sequence

from flows.launch.registry import FlowEntry
from flows.parts.evaluations import Evaluations, contamination, evaluated_at_ratios, intervened, untrained_and_baselines
from flows.parts.places import places
from flows.parts.publish import publish, show, trained_models
from flows.parts.questions import fitted
from flows.parts.training_sets import (
    collected,
    problem_splits,
    questions_trained_on,
    training_set,
    trainings,
    warm_started,
)
from latent_core.config.tokenskip import TokenSkipConfig, Variant
from latent_core.evaluation.condition import seeded
from latent_core.models.chat import check_dual
from latent_core.models.source import short_name
from latent_core.store import Artifact, ArtifactRef
from tasks.report import ReportConfig, ReportInputs, write_report
from tasks.run.execution import open_run
from tasks.run.protocol import Run
from tasks.train import TrainInputs, train


def tokenskip_math(cfg: TokenSkipConfig, force: Sequence[str] = ()) -> dict[str, str]:
    """Compare standard and dual-vocabulary models over compression ratios.

    Args:
        cfg: The run, one section per stage.
        force: Names of stages to compute again although the store has their results.
    """
    with open_run("tokenskip-math", cfg, force=force) as run:
        report = compose(cfg, run)
        result = publish(run, report)
        conclude(cfg, run, run.artifact(report))
        return result


def conclude(cfg: TokenSkipConfig, run: Run, report: Artifact) -> None:
    """Register what was trained."""
    run.register_models(cfg.tracking.register_as, trained_models(report))


def compose(cfg: TokenSkipConfig, run: Run) -> ArtifactRef:
    """The stages and how they hang together; returns the report."""
    cfg = fitted(cfg, run)
    train_split, test_split = problem_splits(cfg, run)
    if any(variant.is_dual for variant in cfg.variants):
        check_dual(cfg.model, cfg.chat)
    base = warm_started(cfg, run, train_split)
    cots = collected(cfg, run, base, train_split)
    evaluations: Evaluations = {}
    if cfg.evaluate.base:
        evaluations |= untrained_and_baselines(cfg.evaluate, run, base, test_split)
    stages: dict[str, ArtifactRef] = cots.read | {"collect": cots.samples, "compress": cots.compressed}
    training_sets: dict[Variant, TrainInputs] = {}
    for variant in cfg.variants:
        if variant.examples not in training_sets:
            training_sets[variant.examples] = training_set(variant.examples, cfg, run, base, cots, stages)
        inputs = training_sets[variant.examples]
        for seed, settings in trainings(cfg, variant).items():
            name = seeded(variant.value, seed)
            trained = stages[f"train/{name}"] = run.stage(train, settings, inputs, label=name)
            found = evaluated_at_ratios(cfg.evaluate, run, trained, test_split, variant.value, seed=seed)
            evaluations |= found | intervened(cfg.evaluate, run, trained, test_split, found)
    learned = questions_trained_on(cfg, cots.samples)
    stages["contamination"] = contamination(run, cfg.benchmark, cfg.evaluate.questions, learned)
    title = f"TokenSkip on {cfg.benchmark.name} with {short_name(cfg.model)}"
    page = ReportConfig(title=title, latent_rows=cfg.train.latent_rows, margin=cfg.margin, places=places(cfg.tracking))
    return run.stage(write_report, page, ReportInputs(evaluations, stages))


ENTRY = FlowEntry("tokenskip-math", TokenSkipConfig, compose, tokenskip_math, show, conclude)
