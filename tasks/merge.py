"""Sharded stages: one artifact that lists its shards' manifests. Nothing is copied."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from latent_core.config.base import IDENTITY, StageConfig
from latent_core.store import ArtifactWriter
from tasks.stage import Inputs, Outcome, Stage, Workplace


class Merge(StageConfig):
    """The number of shards; which ones they are follows from the parents."""

    shards: Annotated[int, IDENTITY]


def merge_shards(out: ArtifactWriter, inputs: Inputs, config: Merge, workplace: Workplace) -> Outcome:
    accounting: Counter[str] = Counter()
    for index in range(config.shards):
        shard = inputs.artifact(f"shard_{index}")
        out.add_shard(shard)
        accounting.update(shard.manifest.content.accounting)
    return Outcome(accounting=accounting, metrics={"shards": config.shards})


MERGED = {name: Stage(name, 1, merge_shards) for name in ("collect", "score_words", "compress", "collect_few_shot")}
