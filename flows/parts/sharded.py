"""Collection and compression, shard by shard: a finished shard is compressed while the next one is generated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from latent_core.config.collect import CollectConfig
from latent_core.config.compress import CompressConfig, ScoreWordsConfig
from latent_core.store import ArtifactRef
from tasks.collect import CollectInputs, CollectShard, collect_shard
from tasks.compress import CompressInputs, ScoreWordsInputs, compress, score_words
from tasks.inputs import CompressorInput, Model, ProblemsInput
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


def collected_shards(config: CollectConfig, run: Run, base: Model, problems: ProblemsInput) -> list[ArtifactRef]:
    """The base model's chains of thought, one artifact a shard."""
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
