"""Collection and compression, shard by shard: a finished shard is compressed while the next one is generated.

Chains of thought that are there already are read once, and then graded and compressed by shards of the same kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from latent_core.config.collect import CollectConfig
from latent_core.config.compress import CompressConfig, ScoreWordsConfig
from latent_core.store import ArtifactRef
from tasks.chains import GradeChains, GradeChainsInputs, ReadChains, ReadChainsInputs, grade_chains, read_chains
from tasks.collect import CollectInputs, CollectShard, collect_shard
from tasks.compress import CompressInputs, ScoreWordsInputs, compress, score_words
from tasks.inputs import ChainsInput, CompressorInput, Model, ProblemsInput
from tasks.run.protocol import Run
from tasks.workers.budget import Budget


class QuestionRange(NamedTuple):
    """The questions of one shard, `start` to `stop` - 1, and the shard's label."""

    start: int
    stop: int
    label: str


def question_ranges(config: CollectConfig) -> Iterator[QuestionRange]:
    """How the questions of a collection are cut into shards."""
    starts = range(0, config.questions, config.shard_questions)
    for number, start in enumerate(starts, 1):
        stop = min(start + config.shard_questions, config.questions)
        yield QuestionRange(start, stop, f"{number}/{len(starts)}")


class Collection(NamedTuple):
    """Graded chains of thought, one artifact a shard; `read` is what they were read from, if they were not sampled."""

    shards: list[ArtifactRef]
    read: ArtifactRef | None = None

    def stages(self) -> dict[str, ArtifactRef]:
        """What a report lists of it beside the merged samples."""
        return {} if self.read is None else {read_chains.name: self.read}


def collected_shards(config: CollectConfig, run: Run, base: Model, problems: ProblemsInput | None) -> Collection:
    """The chains of thought to learn from: the base model's on these problems, or those of `collect.source`.

    Raises InputError for a source that cannot be read, and TypeError where a model has no problems to answer.
    """
    if not config.samples_model:
        return _graded_chains(config, run, base)
    if problems is None:
        raise TypeError("collected_shards: a model that is sampled needs problems")
    return Collection(_sampled(config, run, base, problems))


def _graded_chains(config: CollectConfig, run: Run, base: Model) -> Collection:
    found, source = ChainsInput.find(config.source, config.chains)
    settings = ReadChains(
        columns=source.columns,
        rows=source.rows,
        shard_rows=config.chains.shard_rows,
        unmarked=config.chains.unmarked,
        grading=config.chains.grading,
    )
    columns = ", ".join(f"{role} {column}" for role, column in source.columns.named().items())
    run.note(f"collect: {source.rows:,} rows of {config.source} are read ({columns}); nothing is sampled")
    read = run.stage(read_chains, settings, ReadChainsInputs(found), rows=source.rows)
    inputs = GradeChainsInputs(base, read)
    shards = []
    for shard in range(settings.shards):
        rows = min(settings.shard_rows, settings.rows - shard * settings.shard_rows)
        grading = GradeChains(shard=shard, grading=settings.grading)
        label = f"{shard + 1}/{settings.shards}"
        shards.append(run.stage(grade_chains, grading, inputs, label=label, rows=rows))
    return Collection(shards, read)


def _sampled(config: CollectConfig, run: Run, base: Model, problems: ProblemsInput) -> list[ArtifactRef]:
    run.limit(collect_shard, Budget("collect", config.max_tokens_total, config.max_seconds))
    shards = []
    for start, stop, label in question_ranges(config):
        shard = CollectShard(sampling=config.sampling, start=start, stop=stop, prompting=config.prompting)
        rows = (stop - start) * config.sampling.samples
        shards.append(run.stage(collect_shard, shard, CollectInputs(base, problems), label=label, rows=rows))
    return shards


def compressed(
    config: CompressConfig,
    run: Run,
    base: Model,
    shards: Sequence[ArtifactRef],
    label: str = "",
    trained: ArtifactRef | None = None,
) -> ArtifactRef:
    """The compressions of all shards, by the compressor that the run `trained`, or else by `config.model`."""
    compressor = CompressorInput.find(config.model) if trained is None else trained
    scores, compressions = [], []
    for number, shard in enumerate(shards, 1):
        name = f"{label} {number}/{len(shards)}".strip()
        scores.append(run.stage(score_words, config.scoring, ScoreWordsInputs(shard, compressor), label=name))
        compressions.append(run.stage(compress, config, CompressInputs(scores[-1], base), label=name))
    run.merge("score_words", scores, label)
    return run.merge("compress", compressions, label)


def dropped_at_random(config: CompressConfig) -> CompressConfig:
    """The same ratios with words, or spans, dropped at random, and none kept by rule."""
    scoring = ScoreWordsConfig(max_cot_tokens=config.scoring.max_cot_tokens, spans=config.scoring.spans)
    return CompressConfig(
        model="random", scoring=scoring, ratios=config.ratios, ratio_of=config.ratio_of, unit=config.unit
    )
