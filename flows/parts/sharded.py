"""Stages that are computed shard by shard: a finished shard is compressed while the next one generates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from latent_core.config.collect import CollectConfig
from latent_core.config.compress import CompressConfig, ScoreWordsConfig
from latent_core.store import ArtifactRef
from tasks.collect import CollectInputs, CollectShard, collect_shard
from tasks.compress import CompressInputs, ScoreWordsInputs, compress, score_words
from tasks.inputs import CompressorInput, Model, ProblemsInput
from tasks.run.protocol import Run
from tasks.workers.budget import Budget


def blocks(collect: CollectConfig) -> Iterator[tuple[int, int, str]]:
    """Start, stop and label of each shard of questions."""
    starts = range(0, collect.questions, collect.shard_questions)
    for number, start in enumerate(starts, 1):
        yield start, min(start + collect.shard_questions, collect.questions), f"{number}/{len(starts)}"


def collected_shards(config: CollectConfig, run: Run, base: Model, problems: ProblemsInput) -> list[ArtifactRef]:
    """The base model's chains of thought, as one artifact for every so many questions."""
    run.limit(collect_shard, Budget("collect", config.max_tokens_total, config.max_seconds))
    shards = []
    for start, stop, label in blocks(config):
        rows = (stop - start) * config.sampling.samples
        block = CollectShard(sampling=config.sampling, start=start, stop=stop, prompting=config.prompting)
        shards.append(run.stage(collect_shard, block, CollectInputs(base, problems), label=label, rows=rows))
    return shards


def compressed(
    config: CompressConfig,
    run: Run,
    base: Model,
    shards: Sequence[ArtifactRef],
    label: str = "",
    trained: ArtifactRef | None = None,
) -> ArtifactRef:
    """The compressions of collected shards, each as soon as its shard is there, by a compressor that is `trained` here
    or the one that the configuration names."""
    compressor = CompressorInput.find(config.model) if trained is None else trained
    scores, small = [], []
    for number, shard in enumerate(shards, 1):
        name = f"{label} {number}/{len(shards)}".strip()
        scores.append(run.stage(score_words, config.scoring, ScoreWordsInputs(shard, compressor), label=name))
        small.append(run.stage(compress, config, CompressInputs(scores[-1], base), label=name))
    run.merge("score_words", scores, label)
    return run.merge("compress", small, label)


def dropped_at_random(config: CompressConfig) -> CompressConfig:
    """The same ratios with words dropped at random, and nothing kept on purpose."""
    scoring = ScoreWordsConfig(max_cot_tokens=config.scoring.max_cot_tokens, spans=config.scoring.spans)
    return CompressConfig(model="random", scoring=scoring, ratios=config.ratios, ratio_of=config.ratio_of)
