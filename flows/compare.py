"""Arms against their controls: latent variants, and compressors, each trained over several seeds; one report.

An arm is what the main job would train with the same sections. Problems, chains of thought, recipe, ratios and seeds
are the same for all arms; one thing is different in each.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from flows.launch.registry import FlowEntry
from flows.parts.arms import TrainedArm, compressor_arms, families, latent_arms
from flows.parts.evaluations import Evaluations, contamination, evaluated_at_ratios, intervened, untrained_and_baselines
from flows.parts.publish import findings, page_of, publish
from flows.parts.questions import fitted
from flows.parts.sharded import collected_shards, compressed
from flows.parts.training_sets import (
    ChainsOfThought,
    problem_splits,
    questions_trained_on,
    training_set,
    trainings,
    warm_started,
)
from latent_core.config.compare import CompareConfig
from latent_core.config.compress import CompressConfig
from latent_core.config.evaluate import EvaluateVariantsConfig, Intervention
from latent_core.config.tokenskip import Variant
from latent_core.config.training import TrainConfig
from latent_core.errors import InputError
from latent_core.evaluation.condition import Kind, seeded
from latent_core.models.chat import check_dual
from latent_core.models.source import short_name
from latent_core.store import Artifact, ArtifactRef
from tasks.compare_arms import TABLE_MARKDOWN, CompareArms, CompareArmsInputs, compare_arms
from tasks.measure_compressions import MeasureCompressionsInputs, measure_compressions
from tasks.run.execution import open_run
from tasks.run.protocol import Run
from tasks.train import TrainInputs, train


def compare(cfg: CompareConfig, force: Sequence[str] = ()) -> dict[str, str]:
    """Train every arm with every seed, and compare them.

    Args:
        cfg: The run, one section per stage.
        force: Names of stages to compute again although the store has their results.
    """
    with open_run("compare", cfg, force=force) as run:
        return publish(run, compose(cfg, run))


def compose(cfg: CompareConfig, run: Run) -> ArtifactRef:
    """The stages and how they hang together; returns the report."""
    cfg = fitted(cfg, run)
    if cfg.evaluate.questions < 2:
        raise InputError("evaluate.questions: intervals are over questions, so arms are compared on 2 or more")
    latent, compressors = latent_arms(cfg), compressor_arms(cfg)
    arms = [*latent, *compressors]
    recipe = cfg.recipe(cfg.compress)
    train_split, test_split = problem_splits(recipe, run)
    if any(arm.variant.is_dual for arm in latent):
        check_dual(cfg.model, cfg.chat)
    base = warm_started(recipe, run, train_split)
    shards = collected_shards(cfg.collect, run, base, train_split).shards
    samples = run.merge("collect", shards)
    evaluate = _with_own_reasoning(cfg.evaluate)
    evaluations: Evaluations = untrained_and_baselines(cfg.evaluate, run, base, test_split)
    texts: dict[CompressConfig, ArtifactRef] = {}
    training_sets: dict[tuple[CompressConfig, Variant], TrainInputs] = {}
    trained: dict[tuple[CompressConfig, Variant, TrainConfig], str] = {}
    models: dict[str, ArtifactRef] = {}
    compressions: dict[str, ArtifactRef] = {}
    measures: dict[str, ArtifactRef] = {}
    for arm in arms:
        if arm.compress not in texts:
            small = texts[arm.compress] = compressed(arm.compress, run, base, shards, arm.name)
            read = MeasureCompressionsInputs(base, samples, small)
            measures[arm.name] = run.stage(measure_compressions, cfg.measure, read, label=arm.name)
        compressions[arm.name] = texts[arm.compress]
        first = trained.setdefault((arm.compress, arm.variant, arm.train), arm.name)
        if first != arm.name:  # the same models under another name: standard, and the first compressor's arm
            models |= {seeded(arm.name, seed): models[seeded(first, seed)] for seed in cfg.seeds}
            evaluations |= _renamed(evaluations, first, arm)
            continue
        made_of = arm.compress, arm.variant.examples
        if made_of not in training_sets:
            cots = ChainsOfThought(shards, samples, texts[arm.compress])
            own = cfg.recipe(arm.compress)
            training_sets[made_of] = training_set(arm.variant.examples, own, run, base, cots, {}, arm.name)
        asked = evaluate.model_copy(update={"ratios": arm.ratios})
        for seed, settings in trainings(recipe.model_copy(update={"train": arm.train}), arm.variant).items():
            name = seeded(arm.name, seed)
            models[name] = run.stage(train, settings, training_sets[made_of], label=name)
            found = evaluated_at_ratios(asked, run, models[name], test_split, arm.name, seed=seed)
            evaluations |= found
            if arm in latent:
                evaluations |= intervened(evaluate, run, models[name], test_split, found)
    checked = contamination(run, cfg.benchmark, cfg.evaluate.questions, questions_trained_on(recipe, samples))
    page = CompareArms(
        title=f"Arms over {len(cfg.seeds)} seeds on {cfg.benchmark.name} with {short_name(cfg.model)}",
        families=families(latent, compressors),
        margin=cfg.margin,
        resamples=cfg.resamples,
    )
    return run.stage(compare_arms, page, CompareArmsInputs(evaluations, models, compressions, measures, checked))


def _with_own_reasoning(settings: EvaluateVariantsConfig) -> EvaluateVariantsConfig:
    """What every intervention is compared with is made beside it."""
    others = [name for name in settings.interventions if name is not Intervention.OWN]
    return settings.model_copy(update={"interventions": (Intervention.OWN, *others)}) if others else settings


def _renamed(evaluations: Evaluations, first: str, arm: TrainedArm) -> Evaluations:
    """One arm's evaluations as those of another, at its ratios."""
    return {
        replace(condition, model=arm.name): ref
        for condition, ref in evaluations.items()
        if condition.model == first and condition.kind is Kind.RATIO and condition.ratio in arm.ratios
    }


def show(report: Artifact) -> None:
    """Print the finished comparison's arms and differences, and where the page is."""
    from rich.console import Console

    from latent_core.report.comparison_tables import read_sections, terminal_tables

    console = Console() if sys.stdout.isatty() else Console(width=WIDTH_IN_FILES)
    for table in terminal_tables(read_sections(report.read_bytes(TABLE_MARKDOWN).decode())):
        console.print(table)
    for line in findings(report):
        console.print(line, soft_wrap=True, highlight=False)
    console.print(f"Report:  {page_of(report)}", soft_wrap=True)


WIDTH_IN_FILES = 180  # columns when the output is no terminal: room for the table of arms

ENTRY = FlowEntry("compare", CompareConfig, compose, compare, show)
