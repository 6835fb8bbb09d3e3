"""The main job: teach a standard and a dual-vocabulary model to reason at a requested ratio (TokenSkip)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.launch.registry import FlowEntry
from flows.parts.evaluations import Evaluations, contamination, evaluated_at_ratios, untrained_and_baselines
from flows.parts.publish import publish, show, trained_models
from flows.parts.questions import fitted
from flows.parts.ratios import taught, warn_of_untrained
from latent_core.config.collect import CollectConfig
from latent_core.config.compress import CompressConfig, ScoreWordsConfig
from latent_core.config.dual import DualBuildConfig
from latent_core.config.tokenskip import TokenSkipConfig, Variant
from latent_core.config.training import LatentRows, TrainConfig
from latent_core.evaluation.condition import by_role, seeded
from latent_core.models.chat import check_dual
from latent_core.store import Artifact
from tasks.collect import COLLECT, CollectShard
from tasks.compress import COMPRESS, SCORE_WORDS
from tasks.prepare import PREPARE, PREPARE_WARM_START, WarmStartExamples
from tasks.quality import SCORE_QUALITY
from tasks.report import REPORT, ReportConfig
from tasks.run.execution import Input, Pending, Run, open_run
from tasks.stage import CompressorInput, FileInput, ModelInput, ProblemsInput
from tasks.train import BUILD_DUAL, TRAIN_STAGE
from tasks.workers.budget import Budget


@flow(
    name="tokenskip-math",
    task_runner=ThreadPoolTaskRunner(),  # type: ignore[arg-type]
    persist_result=True,
    result_serializer="json",
    validate_parameters=True,
)
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


def compose(cfg: TokenSkipConfig, run: Run) -> Pending:
    """The stages and how they hang together; returns the report."""
    cfg = fitted(cfg)
    wanted = {"collect.questions": cfg.collect.questions}
    if cfg.warm_start is not None:
        wanted["warm_start.questions"] = cfg.warm_start.questions
    train_split = ProblemsInput.find(cfg.benchmark, "train", wanted)
    test_split = ProblemsInput.find(cfg.benchmark, "test", {"evaluate.questions": cfg.evaluate.questions})
    warn_of_untrained(run, cfg.evaluate.ratios, taught(cfg.prepare), "prepare.ratios")
    if Variant.DUAL in {variant.examples for variant in cfg.variants}:
        check_dual(cfg.model, cfg.chat)
    base = warm_started(cfg, run, train_split)
    cots = collected(cfg, run, base, train_split)
    evaluations: Evaluations = {}
    if cfg.evaluate.base:
        evaluations |= untrained_and_baselines(cfg.evaluate, run, base, test_split)
    stages: dict[str, Pending] = {"collect": cots.samples, "compress": cots.compressed}
    lessons: dict[Variant, Lessons] = {}
    for variant in cfg.variants:
        if variant.examples not in lessons:
            lessons[variant.examples] = lessons_for(variant.examples, cfg, run, base, cots, stages)
        lesson = lessons[variant.examples]
        for seed, settings in trainings(cfg, variant).items():
            name = seeded(variant.value, seed)
            trained = stages[f"train/{name}"] = run.stage(
                TRAIN_STAGE, settings, {"model": lesson.model, "prepared": lesson.prepared}, label=name
            )
            evaluations |= evaluated_at_ratios(cfg.evaluate, run, trained, test_split, variant.value, seed=seed)
    learned = max(cfg.collect.questions, cfg.warm_start.questions if cfg.warm_start else 0)
    stages["contamination"] = contamination(run, cfg.benchmark, cfg.evaluate.questions, learned)
    title = f"TokenSkip on {cfg.benchmark.name} with {cfg.model}"
    page = ReportConfig(title=title, latent_rows=cfg.train.latent_rows)
    return run.stage(REPORT, page, {**by_role(evaluations), **stages})


@dataclass(frozen=True)
class Lessons:
    """What a variant is trained on, and the model it starts from."""

    model: Input
    prepared: Pending


def lessons_for(
    variant: Variant, cfg: TokenSkipConfig, run: Run, base: Input, cots: Cots, stages: dict[str, Pending]
) -> Lessons:
    """Build the variant's model and examples; what the report lists of them is added to `stages`."""
    model, texts = base, cots.compressed
    if variant is Variant.RANDOM_DROP:
        texts = compressed(dropped_at_random(cfg.compress), run, base, cots.shards, "random")
    if variant is Variant.DUAL:
        model = stages["build_dual"] = run.stage(BUILD_DUAL, cfg.dual, latent_sources(cfg.dual, base, cots))
    inputs = {"model": model, "samples": cots.samples, "compressed": texts}
    if cfg.quality is not None:
        scored: dict[str, Input] = {"model": base, "samples": cots.samples, "compressed": texts}
        inputs["quality"] = run.stage(SCORE_QUALITY, cfg.quality, scored, label=variant)
    prepared = stages[f"prepare/{variant}"] = run.stage(PREPARE, cfg.prepare, inputs, label=variant)
    return Lessons(model, prepared)


def trainings(cfg: TokenSkipConfig, variant: Variant) -> dict[int | None, TrainConfig]:
    """The settings of every training of a variant by its seed, where the run names seeds: one, or one a seed."""
    settings = cfg.train
    if variant is Variant.DUAL_FROZEN:
        settings = settings.model_copy(update={"latent_rows": LatentRows.FROZEN})
    if not cfg.seeds:
        return {None: settings}
    return {seed: settings.model_copy(update={"seed": seed}) for seed in cfg.seeds}


def warm_started(cfg: TokenSkipConfig, run: Run, problems: ProblemsInput) -> Input:
    """The base model, after fine-tuning on gold rationales where the configuration asks for it."""
    base = ModelInput.find(cfg.model, chat=cfg.chat)
    if cfg.warm_start is None:
        return base
    examples = WarmStartExamples(
        questions=cfg.warm_start.questions,
        validation_share=cfg.warm_start.validation_share,
        max_length=cfg.warm_start.train.max_length,
        seed=cfg.warm_start.train.seed,
    )
    prepared = run.stage(PREPARE_WARM_START, examples, {"model": base, "problems": problems})
    return run.stage(TRAIN_STAGE, cfg.warm_start.train, {"model": base, "prepared": prepared}, label="warm start")


@dataclass(frozen=True)
class Cots:
    """Chains of thought and their compressions, both sharded alike."""

    shards: list[Pending]
    samples: Pending
    compressed: Pending


def collected(cfg: TokenSkipConfig, run: Run, base: Input, problems: ProblemsInput) -> Cots:
    """Collect, score and compress shard by shard: a finished shard is compressed while the next one generates."""
    shards = collected_shards(cfg.collect, run, base, problems)
    return Cots(shards, run.merge("collect", shards), compressed(cfg.compress, run, base, shards))


def collected_shards(config: CollectConfig, run: Run, base: Input, problems: ProblemsInput) -> list[Pending]:
    """The base model's chains of thought, as one artifact for every so many questions."""
    run.limit(COLLECT, Budget("collect", config.max_tokens_total, config.max_seconds))
    size, questions = config.shard_questions, config.questions
    starts = range(0, questions, size)
    shards = []
    for number, start in enumerate(starts, 1):
        stop = min(start + size, questions)
        rows = (stop - start) * config.sampling.samples
        block = CollectShard(sampling=config.sampling, start=start, stop=stop, prompting=config.prompting)
        inputs: dict[str, Input] = {"model": base, "problems": problems}
        shards.append(run.stage(COLLECT, block, inputs, label=f"{number}/{len(starts)}", rows=rows))
    return shards


def compressed(
    config: CompressConfig,
    run: Run,
    base: Input,
    shards: Sequence[Pending],
    label: str = "",
    trained: Pending | None = None,
) -> Pending:
    """The compressions of collected shards, each as soon as its shard is there, by a compressor that is `trained` here
    or the one that the configuration names."""
    compressor = CompressorInput.find(config.model) if trained is None else trained
    scores, small = [], []
    for number, shard in enumerate(shards, 1):
        name = f"{label} {number}/{len(shards)}".strip()
        inputs: dict[str, Input] = {"samples": shard, "compressor": compressor}
        scores.append(run.stage(SCORE_WORDS, config.scoring, inputs, label=name))
        small.append(run.stage(COMPRESS, config, {"scores": scores[-1], "model": base}, label=name))
    run.merge("score_words", scores, label)
    return run.merge("compress", small, label)


def dropped_at_random(config: CompressConfig) -> CompressConfig:
    """The same ratios with words dropped at random, and nothing kept on purpose."""
    scoring = ScoreWordsConfig(max_cot_tokens=config.scoring.max_cot_tokens, spans=config.scoring.spans)
    return CompressConfig(model="random", scoring=scoring, ratios=config.ratios, ratio_of=config.ratio_of)


def latent_sources(config: DualBuildConfig, base: Input, cots: Cots) -> dict[str, Input]:
    """The parents that a way to choose latents needs, by role; files enter by their content."""
    inputs = {"model": base}
    if config.seen_at_least is not None:
        inputs |= {"samples": cots.samples, "compressed": cots.compressed}
    for role in ("ids_file", "tokens_file", "embeddings_file"):
        path = getattr(config, role)
        if path is not None:
            inputs[role] = FileInput.find(f"dual.{role}", path)
    return inputs


ENTRY = FlowEntry(TokenSkipConfig, partial(open_run, "tokenskip-math"), compose, tokenskip_math, show, conclude)
