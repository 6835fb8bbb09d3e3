"""Sharded stages: one artifact that lists its shards' manifests. Nothing is copied."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, NamedTuple

from latent_core.config.base import IDENTITY, StageConfig
from latent_core.store import ArtifactRef, ArtifactWriter
from tasks.inputs import Input, numbered
from tasks.stage import Outcome, Workplace, stage


class Merge(StageConfig):
    """The number of shards; which ones they are follows from the parents."""

    shards: Annotated[int, IDENTITY]


class MergeInputs(NamedTuple):
    """Shards, in order."""

    shards: tuple[ArtifactRef, ...]

    def roles(self) -> dict[str, Input]:
        return numbered("shard", self.shards)


def merge_shards(out: ArtifactWriter, inputs: MergeInputs, config: Merge, workplace: Workplace) -> Outcome:
    accounting: Counter[str] = Counter()
    for ref in inputs.shards:
        shard = workplace.artifact(ref)
        out.add_shard(shard)
        accounting.update(shard.manifest.content.accounting)
    return Outcome(accounting=accounting, metrics={"shards": config.shards})


MERGED = {
    name: stage(name, version=1)(merge_shards) for name in ("collect", "score_words", "compress", "collect_few_shot")
}
