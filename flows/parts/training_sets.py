"""What the variants of the main job are trained on: chains of thought, their compressions, examples, settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from flows.parts.ratios import prepared_ratios, warn_of_untrained, with_ratio_tokens
from flows.parts.sharded import collected_shards, compressed, dropped_at_random
from latent_core.config.dual import DualBuildConfig, Initial
from latent_core.config.quality import QualityConfig
from latent_core.config.tokenskip import TokenSkipConfig, Variant
from latent_core.config.training import LatentRows, LossSupport, TrainConfig, VisibleRows
from latent_core.dual import DualVocabulary
from latent_core.models.chat import open_chat_model
from latent_core.store import ArtifactRef
from tasks.build_dual import BuildDualInputs, build_dual
from tasks.inputs import FileInput, Model, ModelInput, ProblemsInput
from tasks.prepare import PrepareInputs, WarmStartExamples, WarmStartInputs, prepare, prepare_warm_start
from tasks.quality import QualityInputs, ScoreQuality, score_quality
from tasks.run.protocol import Run
from tasks.train import TrainInputs, train


def training_set(
    variant: Variant,
    cfg: TokenSkipConfig,
    run: Run,
    base: Model,
    cots: ChainsOfThought,
    stages: dict[str, ArtifactRef],
    label: str = "",
) -> TrainInputs:
    """The model that a variant starts from and its examples; adds to `stages` what the report lists of them.

    Stages are labelled with the variant, or with `label`.
    """
    label = label or variant.value
    model, texts = with_ratio_tokens(cfg.ratio_form, cfg.prepare.labels, run, base, cfg.model), cots.compressed
    if isinstance(model, ArtifactRef) and model != base:
        stages["build_ratio_tokens"] = model
    if variant is Variant.RANDOM_DROP:
        texts = compressed(dropped_at_random(cfg.compress), run, base, cots.shards, "random")
    if variant is Variant.DUAL:
        model = stages["build_dual"] = run.stage(build_dual, cfg.dual, latent_sources(cfg.dual, model, cots))
    if variant is Variant.DUAL_PERMUTED:
        settings = cfg.dual.model_copy(update={"initial": Initial.PERMUTED})
        sources = latent_sources(settings, model, cots)
        model = stages["build_dual/permuted"] = run.stage(build_dual, settings, sources, label="permuted")
    quality = None
    if cfg.quality is not None:
        judging = _judging(cfg.quality, cfg)
        quality = run.stage(score_quality, judging, QualityInputs(base, cots.samples, texts), label=label)
    inputs = PrepareInputs(model, cots.samples, texts, quality)
    prepared = stages[f"prepare/{variant}"] = run.stage(prepare, cfg.prepare, inputs, label=label)
    return TrainInputs(model, prepared)


def _judging(settings: QualityConfig, cfg: TokenSkipConfig) -> ScoreQuality:
    """The base model is dual where the one that the parameters name is; a warm start changes no vocabulary."""
    is_dual = DualVocabulary.find(open_chat_model(cfg.model, cfg.chat).directory) is not None
    support = LossSupport.PHASE if is_dual else LossSupport.FULL
    return ScoreQuality(**settings.model_dump(), support=support)


def trainings(cfg: TokenSkipConfig, variant: Variant) -> dict[int | None, TrainConfig]:
    """The settings of every training of a variant by its seed, where the run names seeds: one, or one a seed."""
    changes: dict[Variant, dict[str, Any]] = {
        Variant.DUAL_FROZEN: {"latent_rows": LatentRows.FROZEN},
        Variant.DUAL_PHASE: {"support": LossSupport.PHASE},
        Variant.STANDARD_ROWS: {"visible_rows": VisibleRows.TRAINABLE},
    }
    settings = cfg.train.model_copy(update=changes.get(variant, {}))
    if not cfg.seeds:
        return {None: settings}
    return {seed: settings.model_copy(update={"seed": seed}) for seed in cfg.seeds}


class ProblemSplits(NamedTuple):
    """What a run learns from, None where it learns from chains of thought that are there already, and what it is tested
    on."""

    train: ProblemsInput | None
    test: ProblemsInput


def problem_splits(cfg: TokenSkipConfig, run: Run) -> ProblemSplits:
    """The splits, with as many questions as the run takes of each; warns of ratios that are evaluated but not trained.

    Raises InputError for a split that has too few.
    """
    wanted = {"collect.questions": cfg.collect.questions}
    if cfg.warm_start is not None:
        wanted["warm_start.questions"] = cfg.warm_start.questions
    train_split = ProblemsInput.find(cfg.benchmark, "train", wanted) if cfg.collect.samples_model else None
    test_split = ProblemsInput.find(cfg.benchmark, "test", {"evaluate.questions": cfg.evaluate.questions})
    warn_of_untrained(run, cfg.evaluate.ratios, prepared_ratios(cfg.prepare), "prepare.ratios")
    return ProblemSplits(train_split, test_split)


def questions_trained_on(cfg: TokenSkipConfig, samples: ArtifactRef) -> int | ArtifactRef:
    """How many of the training split's first questions the run learns from; or the samples of its own, where these are
    chains of thought from elsewhere."""
    if not cfg.collect.samples_model:
        return samples
    return max(cfg.collect.questions, cfg.warm_start.questions if cfg.warm_start else 0)


def warm_started(cfg: TokenSkipConfig, run: Run, problems: ProblemsInput | None) -> Model:
    """The base model, after fine-tuning on gold rationales if warm_start is set."""
    base = ModelInput.find(cfg.model, chat=cfg.chat)
    if cfg.warm_start is None or problems is None:
        return base
    examples = WarmStartExamples(
        questions=cfg.warm_start.questions,
        validation_share=cfg.warm_start.validation_share,
        max_length=cfg.warm_start.train.max_length,
        seed=cfg.warm_start.train.seed,
    )
    prepared = run.stage(prepare_warm_start, examples, WarmStartInputs(base, problems))
    return run.stage(train, cfg.warm_start.train, TrainInputs(base, prepared), label="warm start")


@dataclass(frozen=True)
class ChainsOfThought:
    """Chains of thought, shard by shard and merged, and their compressions."""

    shards: list[ArtifactRef]
    samples: ArtifactRef
    compressed: ArtifactRef
    read: dict[str, ArtifactRef] = field(default_factory=dict)
    """What a report lists of how they were read, by its name."""


def collected(cfg: TokenSkipConfig, run: Run, base: Model, problems: ProblemsInput | None) -> ChainsOfThought:
    """Collect, score and compress."""
    collection = collected_shards(cfg.collect, run, base, problems)
    samples = run.merge("collect", collection.shards)
    small = compressed(cfg.compress, run, base, collection.shards)
    return ChainsOfThought(collection.shards, samples, small, collection.stages())


def latent_sources(config: DualBuildConfig, base: Model, cots: ChainsOfThought) -> BuildDualInputs:
    """The inputs that the mode of choosing latents needs; files enter by their content."""

    def file(field: str, path: str | None) -> FileInput | None:
        return None if path is None else FileInput.find(f"dual.{field}", path)

    needs_texts = config.seen_at_least is not None
    return BuildDualInputs(
        base,
        samples=cots.samples if needs_texts else None,
        compressed=cots.compressed if needs_texts else None,
        ids_file=file("ids_file", config.ids_file),
        tokens_file=file("tokens_file", config.tokens_file),
        embeddings_file=file("embeddings_file", config.embeddings_file),
    )
