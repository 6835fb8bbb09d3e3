"""A compressor that needs no model and remembers what it read, and a store with a collect artifact."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from latent_core.compress import RandomCompressor, ScoredText, ScoringOptions, open_compressor
from latent_core.compress.spans import split_units
from latent_core.generate.completions import sample_schema
from latent_core.store import ArtifactRef, ArtifactStore, begin
from latent_core.ui.compression import CompressionCache

SAMPLES = "samples.parquet"


class CountingCompressor(RandomCompressor):
    """Random scores of the text's units; remembers every text it was asked to score."""

    def __init__(self) -> None:
        super().__init__(seed=3, count_tokens=len)
        self.texts: list[str] = []

    def score_words(self, texts: Sequence[str]) -> list[ScoredText]:
        self.texts.extend(texts)
        return [
            self._scored(text, spans, self._keep_probability(text, len(spans)))
            for text in texts
            for spans in [split_units(text)]
        ]


@pytest.fixture
def compressor() -> CountingCompressor:
    return CountingCompressor()


@pytest.fixture
def cache(compressor: CountingCompressor) -> CompressionCache:
    return CompressionCache(compressor, lambda text: len(text.split()))


def _row(index: int) -> dict[str, object]:
    return {
        "question_id": f"q{index // 2}",
        "sample_index": index % 2,
        "question": f"What is {index} + 1?",
        "gold": str(index + 1),
        "level": None,
        "prompt_token_ids": [1],
        "output_token_ids": [2],
        "finish_reason": "stop",
        "completion": "",
        "reasoning": f"{index} and 1 make {index + 1}, so <b>{index + 1}</b> it is.",
        "answer": str(index + 1),
        "verdict": "correct",
        "tokens": 9,
        "reasoning_tokens": 7,
        "latent_tokens": 0,
    }


@pytest.fixture
def collected(tmp_path: Path) -> tuple[ArtifactStore, ArtifactRef]:
    """A store with a collect artifact of 19 samples in three shards of 1, 17 and 1."""
    store = ArtifactStore(tmp_path / "store")
    shards = []
    for number, rows in enumerate((range(0, 1), range(1, 18), range(18, 19))):
        with begin(store, ArtifactRef("collect_shard", f"{number}" * 64)) as out:
            with out.table(SAMPLES, sample_schema()) as table:
                for index in rows:
                    table.add(_row(index))
            shards.append(out.commit())
    with begin(store, ArtifactRef("collect", "a" * 64)) as out:
        for shard in shards:
            out.add_shard(shard)
        merged = out.commit()
    return store, merged.ref


@pytest.fixture(scope="session")
def packaged_cache() -> CompressionCache:
    """The packaged compressor; a target token is three characters."""
    return CompressionCache(
        open_compressor("latent-compressor", ScoringOptions(spans=True)), lambda text: len(text) // 3
    )
