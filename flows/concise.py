"""Self-training for concise reasoning (arXiv 2502.20122): a model learns from its own shortest correct samples."""

from __future__ import annotations

from collections.abc import Sequence

from flows.launch.registry import FlowEntry
from flows.parts.evaluations import Evaluations, contamination, evaluated_once, untrained_and_baselines
from flows.parts.places import places
from flows.parts.publish import publish, show, trained_models
from flows.parts.questions import fitted
from flows.parts.sharded import collected_shards, question_ranges
from latent_core.config.concise import ConciseConfig, FewShotConfig
from latent_core.evaluation.condition import BASE
from latent_core.models.source import short_name
from latent_core.store import Artifact, ArtifactRef
from tasks.concise import (
    FewShotInputs,
    FewShotShard,
    PrepareFormat,
    PrepareSelectedInputs,
    SelectExemplarsInputs,
    SelectShortestInputs,
    collect_few_shot,
    prepare_selected,
    select_exemplars,
    select_shortest,
)
from tasks.inputs import Model, ModelInput, ProblemsInput
from tasks.report import ReportConfig, ReportInputs, write_report
from tasks.run.execution import open_run
from tasks.run.protocol import Run
from tasks.train import TrainInputs, train


def concise(cfg: ConciseConfig, force: Sequence[str] = ()) -> dict[str, str]:
    """Sample, show the shortest as worked examples, sample again, and train on the shortest correct of all.

    Args:
        cfg: The run, one section per stage.
        force: Names of stages to compute again although the store has their results.
    """
    with open_run("concise", cfg, force=force) as run:
        report = compose(cfg, run)
        result = publish(run, report)
        conclude(cfg, run, run.artifact(report))
        return result


def conclude(cfg: ConciseConfig, run: Run, report: Artifact) -> None:
    """Register what was trained."""
    run.register_models(cfg.tracking.register_as, trained_models(report))


def compose(cfg: ConciseConfig, run: Run) -> ArtifactRef:
    """The stages and how they hang together; returns the report."""
    cfg = fitted(cfg, run)
    train_split = None
    if cfg.collect.samples_model:
        train_split = ProblemsInput.find(cfg.benchmark, "train", {"collect.questions": cfg.collect.questions})
    test_split = ProblemsInput.find(cfg.benchmark, "test", {"evaluate.questions": cfg.evaluate.questions})
    base = ModelInput.find(cfg.model, chat=cfg.chat)
    collection = collected_shards(cfg.collect, run, base, train_split)
    samples = run.merge("collect", collection.shards)
    stages = collection.stages() | {"samples": samples}
    after_examples = None
    if cfg.few_shot is not None and train_split is not None:
        after_examples = stages["few_shot"] = few_shot(cfg, cfg.few_shot, run, base, train_split, samples)
    selected = run.stage(select_shortest, cfg.select, SelectShortestInputs(base, samples, after_examples))
    prepare = PrepareFormat(prepare=cfg.prepare, text_format=cfg.text_format)
    prepared = run.stage(prepare_selected, prepare, PrepareSelectedInputs(base, selected))
    trained = run.stage(train, cfg.train, TrainInputs(base, prepared), label="concise")
    evaluations: Evaluations = {}
    if cfg.evaluate.base:
        evaluations |= untrained_and_baselines(cfg.evaluate, run, base, test_split)
    evaluations |= evaluated_once(cfg.evaluate, run, trained, test_split, "concise", cfg.text_format)
    title = f"Self-training for concise reasoning on {cfg.benchmark.name} with {short_name(cfg.model)}"
    learned = cfg.collect.questions if cfg.collect.samples_model else samples
    checked = contamination(run, cfg.benchmark, cfg.evaluate.questions, learned)
    stages |= {
        "select_shortest": selected,
        "prepare/concise": prepared,
        "train/concise": trained,
        "contamination": checked,
    }
    page = ReportConfig(title=title, reference=BASE, margin=cfg.margin, places=places(cfg.tracking))
    return run.stage(write_report, page, ReportInputs(evaluations, stages))


def few_shot(
    cfg: ConciseConfig, settings: FewShotConfig, run: Run, base: Model, problems: ProblemsInput, samples: ArtifactRef
) -> ArtifactRef:
    """Samples of the same questions, prompted with worked examples chosen from the first samples."""
    exemplars = run.stage(select_exemplars, settings.exemplars, SelectExemplarsInputs(base, samples))
    shards = []
    for start, stop, label in question_ranges(cfg.collect):
        shard = FewShotShard(
            sampling=settings.sampling,
            start=start,
            stop=stop,
            per_prompt=settings.per_prompt,
            seed=settings.seed,
            text_format=cfg.text_format,
        )
        rows = (stop - start) * settings.sampling.samples
        inputs = FewShotInputs(base, problems, exemplars)
        shards.append(run.stage(collect_few_shot, shard, inputs, label=label, rows=rows))
    return run.merge("collect_few_shot", shards)


ENTRY = FlowEntry("concise", ConciseConfig, compose, concise, show, conclude)
