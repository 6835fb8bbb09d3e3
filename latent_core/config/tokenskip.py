"""Parameters of the main flow: TokenSkip on a standard and a dual-vocabulary model, stage by stage."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, RUNTIME, StageConfig
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.chat import ChatConfig, Thinking
from latent_core.config.runtime import RuntimeConfig, TrainingTrackingConfig
from latent_core.config.sampling import CollectSamplingConfig, SamplingConfig
from latent_core.config.training import TrainConfig
from latent_core.dual.selection import LatentMode

Ratio = Annotated[float, Field(gt=0, le=1)]
Ratios = Annotated[tuple[Ratio, ...], Field(min_length=1)]


class Variant(StrEnum):
    """Which kinds of model a run trains."""

    STANDARD = "standard"
    DUAL = "dual"
    DUAL_FROZEN = "dual_frozen"  # the dual model whose latent rows stay copies: what a mask alone changes
    RANDOM_DROP = "random_drop"  # the standard model, trained on words dropped at random: what a compressor must beat

    @property
    def examples(self) -> Variant:
        """The variant whose examples and starting weights this one is trained with."""
        return Variant.DUAL if self is Variant.DUAL_FROZEN else self


class RatioPolicy(StrEnum):
    """Which of a record's ratios become training examples."""

    ONE_RATIO_PER_RECORD = "one_ratio_per_record"  # drawn at random, as in the paper
    ALL_RATIOS = "all_ratios"
    BALANCED = "balanced"  # every question at every ratio equally often: its samples take turns


class RatioLabel(StrEnum):
    """Which ratio an example's prompt names."""

    REQUESTED = "requested"  # what the compressor was asked for, as in the paper
    ACHIEVED = "achieved"  # what it kept of the target model's tokens, in hundredths


class Prompting(StrEnum):
    """How a model is asked to reason."""

    RATIO = "ratio"  # the condition a TokenSkip model was trained to hear; at 1.0 the plain question
    REDUCE = "reduce"  # in words: to leave out a share of the words
    CONCISE = "concise"  # in words: to be concise
    CHAIN_OF_DRAFT = "chain_of_draft"  # arXiv 2502.18600: a draft of at most five words a step
    SKETCH_OF_THOUGHT = "sketch_of_thought"  # arXiv 2503.05179: symbols and chained notes in place of prose

    @property
    def takes_ratio(self) -> bool:
        return self in (Prompting.RATIO, Prompting.REDUCE)

    @property
    def exemplar_set(self) -> int:
        """Which set of worked examples is shown before the question, raised when they change; 0 shows none."""
        return 1 if self in (Prompting.CHAIN_OF_DRAFT, Prompting.SKETCH_OF_THOUGHT) else 0


class TextFormat(StrEnum):
    """How reasoning and answer are written down."""

    BOXED = "boxed"  # a turn of the model's conversation, the answer in a box
    XML = "xml"  # a turn, <think>...</think><answer>...</answer>
    RAW_TEXT = "raw_text"  # no conversation: question, rationale, "The answer is ...", as base models are trained


class Baseline(StrEnum):
    """What a trained model is compared with, on the untrained one."""

    REDUCE = Prompting.REDUCE.value
    CONCISE = Prompting.CONCISE.value
    CHAIN_OF_DRAFT = Prompting.CHAIN_OF_DRAFT.value
    SKETCH_OF_THOUGHT = Prompting.SKETCH_OF_THOUGHT.value
    TRUNCATE = "truncate"  # its own output, cut at the ratio's share of its mean length; costs no generation


class CollectConfig(StageConfig):
    """Chains of thought of the base model on the training split."""

    sampling: Annotated[CollectSamplingConfig, IDENTITY] = CollectSamplingConfig()
    questions: Annotated[int, RUNTIME, Field(ge=1)] = 7500
    """How many training problems; more of them keep the finished shards."""
    shard_questions: Annotated[int, RUNTIME, Field(ge=1)] = 250
    """Questions per shard: the unit that is retried and cached."""
    max_tokens_total: Annotated[int | None, RUNTIME, Field(ge=1)] = None
    """Start no further shard once this many tokens were generated, shards in the store included."""
    max_seconds: Annotated[float | None, RUNTIME, Field(gt=0)] = None
    """Start no further shard once the run is this old."""
    prompting: Annotated[Prompting, IDENTITY, OMITTED_AT_DEFAULT] = Prompting.RATIO
    """How the model is asked; chain_of_draft and sketch_of_thought show it three worked examples first."""

    @field_validator("prompting")
    @classmethod
    def _collection_names_no_ratio(cls, prompting: Prompting) -> Prompting:
        if prompting is Prompting.REDUCE:
            raise ValueError("collect.prompting: reduce needs a ratio, and collection has none; choose concise")
        return prompting


# How spans are cut; raised when `latent_core.compress.spans` cuts some text otherwise. 2: grapheme clusters stay whole,
# and scripts without spaces are cut into words. Encoder words, which are llmlingua's, have no part in it.
_SPAN_RULE = 2


class ScoreWordsConfig(StageConfig):
    """The encoder's only pass over the correct chains of thought; ratios play no part in it."""

    max_cot_tokens: Annotated[int, IDENTITY, Field(ge=1)] = 2000
    """Longest chain of thought, in the target model's tokens, that is used at any ratio."""
    force_tokens: Annotated[tuple[str, ...], IDENTITY] = ()
    """Tokens that are always kept (TokenSkip's Llama-3 recipe: "Step", ":")."""
    force_reserve_digit: Annotated[bool, IDENTITY] = False
    """LLMLingua's own option; it keeps digits as tokens, yet may still split 99.3. `spans` keeps numbers whole."""
    spans: Annotated[bool, IDENTITY] = False
    """Score spans of the source text instead of the encoder's words: case, newlines, decimals, LaTeX stay intact."""

    def identity(self) -> dict[str, Any]:
        """With spans, the rule that they are cut by is part of it."""
        return super().identity() | ({"span_rule": _SPAN_RULE} if self.spans else {})


class CompressConfig(StageConfig):
    """LLMLingua-2 compression: arithmetic over word scores, one row per chain of thought and ratio."""

    model: Annotated[str, RUNTIME] = "latent-compressor"
    """Token classifier: latent-compressor, a directory, or a hub id such as
    microsoft/llmlingua-2-xlm-roberta-large-meetingbank. Or a baseline: random (random:SEED), truncate, or
    lm_surprisal:MODEL, which drops what a causal language model expected."""
    scoring: Annotated[ScoreWordsConfig, RUNTIME] = ScoreWordsConfig()
    """The encoder's pass; it enters the identity through the scored words."""
    ratios: Annotated[Ratios, IDENTITY] = (0.7, 0.5, 0.3, 0.1)
    ratio_of: Annotated[Literal["encoder_words", "target_tokens"], IDENTITY] = "encoder_words"
    """What a ratio is a share of: the encoder's words (paper), or the target model's tokens, solved per text."""
    drop_consecutive: Annotated[bool, IDENTITY] = False
    """Keep only the first of consecutive force tokens."""
    keep_numbers: Annotated[bool, IDENTITY] = False
    """With spans: never drop a number."""
    keep_operators: Annotated[bool, IDENTITY] = False
    """With spans: never drop an operator or relation sign."""
    keep_latex_commands: Annotated[bool, IDENTITY] = False
    """With spans: keep LaTeX commands whole."""
    keep_value: Annotated[bool, IDENTITY] = False
    """With spans: keep the last occurrence of the answer's value."""

    @field_validator("ratios")
    @classmethod
    def _no_duplicates(cls, ratios: tuple[float, ...]) -> tuple[float, ...]:
        return distinct("compress.ratios", ratios)

    @model_validator(mode="after")
    def _keeping_needs_spans(self) -> CompressConfig:
        keeps = ("keep_numbers", "keep_operators", "keep_latex_commands", "keep_value")
        wanted = [name for name in keeps if getattr(self, name)]
        if wanted and not self.scoring.spans:
            raise ValueError(f"compress.{wanted[0]}: works on spans of the source text; set compress.scoring.spans")
        return self


class QualitySpan(StrEnum):
    """Which tokens of the right answer are scored."""

    ANSWER = "answer"  # what stands in the box
    BOXED = "boxed"  # the box with its content
    AFTER_THINK = "after_think"  # the sentence that states the answer, with the end of the turn


class QualityReduction(StrEnum):
    """How the log-probabilities of the scored tokens become one number."""

    MEAN = "mean"
    SUM = "sum"


class QualityConfig(StageConfig):
    """Log-probability of the right answer after each text, under the base model that reads it."""

    span: Annotated[QualitySpan, IDENTITY] = QualitySpan.ANSWER
    reduction: Annotated[QualityReduction, IDENTITY] = QualityReduction.MEAN
    dtype: Annotated[Literal["auto", "float32", "bfloat16"], IDENTITY] = "auto"
    """auto is bfloat16 on a GPU and float32 on a CPU."""
    batch_tokens: Annotated[int, RUNTIME, Field(ge=1)] = 8192
    """Upper bound of tokens read at once."""


class PrepareConfig(StageConfig):
    """From compressed chains of thought to training examples."""

    ratios: Annotated[Ratios, IDENTITY] = (1.0, 0.7, 0.5, 0.3, 0.1)
    policy: Annotated[RatioPolicy, IDENTITY] = RatioPolicy.ONE_RATIO_PER_RECORD
    validation_share: Annotated[float, IDENTITY, Field(ge=0, lt=1)] = 0.1
    """Share of the questions held out for validation; all samples of a question stay together."""
    max_length: Annotated[int, IDENTITY, Field(ge=8)] = 4096
    """Longest example in tokens; longer ones are left out and counted, at every ratio."""
    ratio_label: Annotated[RatioLabel, IDENTITY, OMITTED_AT_DEFAULT] = RatioLabel.REQUESTED
    """The ratio that an example's prompt names: the requested one, or the one its text achieved."""
    quality_top: Annotated[float, IDENTITY, OMITTED_AT_DEFAULT, Field(gt=0, le=1)] = 1.0
    """Share of a question's texts that is kept at each ratio, 1.0 included, best first; below 1 needs `quality`."""
    outside_subset: Annotated[Literal["visible", "drop_row"], IDENTITY] = "visible"
    """Dual models with a subset of latents: keep a reasoning token without a latent visible, or drop the example."""
    seed: Annotated[int, IDENTITY, Field(ge=0)] = 42

    @field_validator("ratios")
    @classmethod
    def _no_duplicates(cls, ratios: tuple[float, ...]) -> tuple[float, ...]:
        return distinct("prepare.ratios", ratios)


class DualBuildConfig(StageConfig):
    """How the dual-vocabulary model is made from the base."""

    mode: Annotated[LatentMode, IDENTITY] = LatentMode.FULL_COPY
    """Which tokens get a latent: all, a subset (say which by one of the next three), or texts of one's own."""
    pattern: Annotated[str | None, IDENTITY] = None
    """subset: a regular expression on the decoded text of tokens; those that match get a latent."""
    seen_at_least: Annotated[int | None, IDENTITY, Field(ge=1)] = None
    """subset: mirror the tokens that occur this often in the run's correct chains of thought and compressions."""
    ids_file: Annotated[str | None, RUNTIME] = None
    """subset: a file of token ids, a JSON list or one a line; it enters the identity by its content."""
    tokens_file: Annotated[str | None, RUNTIME] = None
    """custom: a file of token texts, a JSON list or one a line; it enters the identity by its content."""
    embeddings_file: Annotated[str | None, RUNTIME] = None
    """custom: embedding rows of the tokens, .npy or .safetensors (tensor "embeddings"); by content as well."""
    think_missing: Annotated[Literal["error", "add", "clone_eos"], IDENTITY] = "error"
    """What to do when the base has no think tokens: refuse, add them near the mean row, or near the end-of-turn row."""
    seed: Annotated[int, IDENTITY, Field(ge=0)] = 0

    @field_validator("pattern")
    @classmethod
    def _pattern_is_one(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"is no regular expression ({error}); mend it") from error
        return pattern

    @model_validator(mode="after")
    def _mode_has_what_it_needs(self) -> DualBuildConfig:
        choices = {
            LatentMode.FULL_COPY: (),
            LatentMode.SUBSET: ("pattern", "seen_at_least", "ids_file"),
            LatentMode.CUSTOM: ("tokens_file",),
        }
        extras = {LatentMode.CUSTOM: {"embeddings_file"}}.get(self.mode, set())
        optional = {"pattern", "seen_at_least", "ids_file", "tokens_file", "embeddings_file"}
        given = {name for name in optional if getattr(self, name) is not None}
        wanted = choices[self.mode]
        for name in sorted(given - set(wanted) - extras):
            raise ValueError(f"dual.{name}: mode {self.mode.value!r} does not take it; drop it or change dual.mode")
        if wanted and len(given & set(wanted)) != 1:
            raise ValueError(f"dual.mode: {self.mode.value!r} needs exactly one of {', '.join(wanted)}")
        return self


class Metric(StrEnum):
    """What an evaluation measures beside accuracy and lengths."""

    LOGPROB = "logprob"  # how sure the model is of the gold answer after its own reasoning


Metrics = tuple[Metric, ...]


class Joined(StrEnum):
    """Whether a model's missing conditions share the passes of one engine."""

    AUTO = "auto"  # where the engine fills a slot as soon as it is free: vllm
    ALWAYS = "always"
    NEVER = "never"


class EvaluateConfig(StageConfig):
    """Evaluation on the test split, one condition per ratio."""

    sampling: Annotated[SamplingConfig, IDENTITY] = SamplingConfig()
    questions: Annotated[int, IDENTITY, Field(ge=1)] = 500
    ratios: Annotated[Ratios, RUNTIME] = (1.0, 0.7, 0.5, 0.3)
    """Conditions; each is an artifact of its own."""
    metrics: Annotated[Metrics, IDENTITY, OMITTED_AT_DEFAULT] = ()
    """logprob: mean log-probability of the gold answer after the model's own reasoning. It loads the model a second
    time, with transformers: beside vLLM on a GPU leave it room (sampling.vllm.gpu_memory_utilization)."""
    joined: Annotated[Joined, RUNTIME] = Joined.AUTO
    """always: a model's missing conditions are generated together, so that no slot of the engine stays empty while one
    ends; never: one after the other; auto: together with vllm. A server's stay apart, since it bills each."""

    @property
    def joins(self) -> bool:
        """Whether conditions are generated together."""
        return self.joined is Joined.ALWAYS or (self.joined is Joined.AUTO and self.sampling.engine == "vllm")

    @model_validator(mode="after")
    def _bills_stay_apart(self) -> EvaluateConfig:
        if self.joined is Joined.ALWAYS and self.sampling.engine == "openai":
            raise ValueError(
                "evaluate.joined: a server bills each condition, which must stay apart for that; leave it auto"
            )
        return self

    @field_validator("ratios")
    @classmethod
    def _no_duplicates(cls, ratios: tuple[float, ...]) -> tuple[float, ...]:
        return distinct("evaluate.ratios", ratios)

    @field_validator("metrics")
    @classmethod
    def _no_metric_twice(cls, metrics: Metrics) -> Metrics:
        if len(set(metrics)) != len(metrics):
            raise ValueError(f"evaluate.metrics: a metric appears twice in {[metric.value for metric in metrics]}")
        return metrics


class EvaluateWithBaseConfig(EvaluateConfig):
    """Evaluation of trained models beside the untrained one they come from."""

    base: Annotated[bool, RUNTIME] = True
    """Evaluate the untrained base model too, and its baselines."""
    baselines: Annotated[tuple[Baseline, ...], RUNTIME] = (Baseline.REDUCE, Baseline.CONCISE, Baseline.TRUNCATE)
    """Beside the base model: other ways to shorten its reasoning, without training, at the same ratios."""

    @model_validator(mode="after")
    def _baselines_need_the_base(self) -> EvaluateWithBaseConfig:
        if len(set(self.baselines)) != len(self.baselines):
            raise ValueError("evaluate.baselines: a baseline appears twice")
        if self.baselines and not self.base and "baselines" in self.model_fields_set:
            raise ValueError("evaluate.baselines: are compared with the base model; set evaluate.base, or no baselines")
        return self


class WarmStartConfig(StageConfig):
    """Fine-tuning on gold rationales before collection, for a base model that cannot solve the benchmark yet."""

    questions: Annotated[int, IDENTITY, Field(ge=1)] = 7000
    validation_share: Annotated[float, IDENTITY, Field(ge=0, lt=1)] = 0.05
    train: Annotated[TrainConfig, IDENTITY] = TrainConfig()


class TokenSkipConfig(StageConfig):
    """The whole run: base model, problems, and one section per stage."""

    model: Annotated[str, RUNTIME] = "latent-mini"
    """Base model: latent-mini, smollm2, a local directory, or a hub id owner/name[@revision]."""
    chat: Annotated[ChatConfig, IDENTITY, OMITTED_AT_DEFAULT] = ChatConfig()
    """How the model's conversations are read: whether it thinks, and the day its chat template is told."""
    variants: Annotated[tuple[Variant, ...], RUNTIME, Field(min_length=1)] = (Variant.STANDARD, Variant.DUAL)
    """Which models to train and compare."""
    seeds: Annotated[tuple[int, ...], RUNTIME] = ()
    """Train every variant once a seed, in place of train.seed; the report then says how far seeds spread."""
    benchmark: Annotated[BenchmarkConfig, IDENTITY] = BenchmarkConfig()
    warm_start: Annotated[WarmStartConfig | None, IDENTITY] = None
    collect: Annotated[CollectConfig, IDENTITY] = CollectConfig()
    compress: Annotated[CompressConfig, IDENTITY] = CompressConfig()
    quality: Annotated[QualityConfig | None, IDENTITY, OMITTED_AT_DEFAULT] = None
    """Score every text by the base model's trust in the right answer after it; prepare.quality_top keeps the best."""
    prepare: Annotated[PrepareConfig, IDENTITY] = PrepareConfig()
    dual: Annotated[DualBuildConfig, IDENTITY] = DualBuildConfig()
    train: Annotated[TrainConfig, IDENTITY] = TrainConfig()
    evaluate: Annotated[EvaluateWithBaseConfig, IDENTITY] = EvaluateWithBaseConfig()
    store: Annotated[str, RUNTIME] = ".latent/store"
    """Where artifacts live: a local path or s3://bucket/prefix."""
    runtime: Annotated[RuntimeConfig, RUNTIME] = RuntimeConfig()
    tracking: Annotated[TrainingTrackingConfig, RUNTIME] = TrainingTrackingConfig()

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds) or any(seed < 0 for seed in seeds):
            raise ValueError(f"seeds: {list(seeds)} must be different whole numbers from 0 on")
        return seeds

    @model_validator(mode="after")
    def _ratios_are_compressed(self) -> TokenSkipConfig:
        check_prepared_ratios(self.prepare, self.compress)
        return self

    @model_validator(mode="after")
    def _dual_models_think(self) -> TokenSkipConfig:
        if self.chat.thinking is Thinking.OFF and {Variant.DUAL, Variant.DUAL_FROZEN} & set(self.variants):
            raise ValueError(
                "chat.thinking: is off, but dual models reason between think marks; drop these variants, or set auto"
            )
        return self

    @model_validator(mode="after")
    def _quality_top_needs_scores(self) -> TokenSkipConfig:
        if self.prepare.quality_top < 1 and self.quality is None:
            raise ValueError("prepare.quality_top: needs scores; set quality.span, or leave quality_top at 1")
        return self


def check_prepared_ratios(prepare: PrepareConfig, compress: CompressConfig) -> None:
    """Raise ValueError unless every ratio below 1 that is prepared is also compressed."""
    missing = sorted(set(prepare.ratios) - set(compress.ratios) - {1.0})
    if missing:
        raise ValueError(f"prepare.ratios: {missing} are not in compress.ratios {list(compress.ratios)}")


def distinct(field: str, ratios: tuple[float, ...]) -> tuple[float, ...]:
    """The ratios as they are; raises ValueError, naming the field, where two are equal to six digits.

    They are written so in tables, and in the roles that evaluations have.
    """
    if len({f"{ratio:g}" for ratio in ratios}) != len(ratios):
        raise ValueError(f"{field}: a ratio appears twice, to six digits, in {list(ratios)}")
    return ratios
