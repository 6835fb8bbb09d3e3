"""Merging: the rows of all shards in order, their counts added up, nothing copied."""

from __future__ import annotations

from tasks.merge import MERGED, Merge, MergeInputs
from tasks.tables import SAMPLES
from tests.support.stage_bench import StageBench, sample


def test_merge_reads_as_its_shards_in_order_and_adds_up_what_they_counted(bench: StageBench) -> None:
    first = bench.input(
        "collect_shard", {SAMPLES: [sample(1, "a"), sample(2, "b")]}, accounting={"kept": 2, "empty": 1}
    )
    second = bench.input("collect_shard", {SAMPLES: [sample(3, "c")]}, accounting={"kept": 1})
    merged = bench.perform(MERGED["collect"].call(Merge(shards=2), MergeInputs((second, first))))
    assert [row["question_id"] for row in SAMPLES.rows(merged)] == ["q3", "q1", "q2"]
    content = merged.manifest.content
    assert content.accounting == {"kept": 3, "empty": 1} and content.metrics == {"shards": 2} and not content.files
