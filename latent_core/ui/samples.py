"""Chains of thought to look at: the presets, and the rows of any collect artifact of a store, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from latent_core.errors import InputError
from latent_core.store import Artifact, ArtifactStore
from latent_core.ui.presets import PRESETS

PRESET_SOURCE = "Presets, written for this page"
PAGE_ROWS = 8
_STAGES = ("collect", "collect_few_shot", "collect_shard")  # merged ones first
_COLUMNS = ("question_id", "sample_index", "question", "gold", "reasoning", "verdict", "reasoning_tokens")


@dataclass(frozen=True)
class Sample:
    """A chain of thought with its question and right answer; `title` is its line in the list."""

    title: str
    question: str
    answer: str
    reasoning: str


@dataclass(frozen=True)
class Page:
    """Some samples in order; `start` is the place of the first among `total`."""

    samples: tuple[Sample, ...]
    start: int
    total: int

    @property
    def number(self) -> int:
        """From 1."""
        return self.start // PAGE_ROWS + 1

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // PAGE_ROWS))


class SampleLibrary:
    """What the Samples tab offers; `table` is the name of the samples' table in a collect artifact."""

    def __init__(self, store: ArtifactStore, table: str) -> None:
        self._store = store
        self._table = table

    def sources(self) -> list[str]:
        """The presets, then the addresses of the store's collect artifacts."""
        found = [ref for ref in self._store.list() if ref.stage in _STAGES]
        found.sort(key=lambda ref: (_STAGES.index(ref.stage), ref.fingerprint))
        return [PRESET_SOURCE, *(f"{ref.stage}/{ref.fingerprint[:16]}" for ref in found)]

    def page(self, source: str, number: int) -> Page:
        """Page `number` (from 1) of a source; a number beyond the ends is drawn to the nearest page.

        Raises InputError for an unknown source, a damaged artifact and one that is not a collection of samples.
        """
        if source == PRESET_SOURCE:
            samples = [Sample(item.name, item.question, item.answer, item.reasoning) for item in PRESETS]
            return Page(tuple(samples), 0, len(samples))
        ref = self._store.find(source)
        if ref.stage not in _STAGES:
            raise InputError(f"source: {source!r} holds no chains of thought; choose a collect artifact")
        artifact = self._store.require(ref)
        pages = max(1, -(-artifact.rows // PAGE_ROWS))
        start = (min(max(number, 1), pages) - 1) * PAGE_ROWS
        rows = self._rows(artifact, start, start + PAGE_ROWS)
        return Page(tuple(map(_sample, rows)), start, artifact.rows)

    def _rows(self, artifact: Artifact, start: int, stop: int) -> Iterator[dict[str, Any]]:
        place = 0
        for batch in artifact.batches(self._table, _COLUMNS):
            if place >= stop:
                return
            first, last = max(start - place, 0), min(stop - place, batch.num_rows)
            if first < last:
                yield from batch.slice(first, last - first).to_pylist()
            place += batch.num_rows


def _sample(row: dict[str, Any]) -> Sample:
    name = f"{row['question_id']} · sample {row['sample_index']}" if row["sample_index"] else str(row["question_id"])
    title = f"{name} · {row['verdict']} · {row['reasoning_tokens']} tokens"
    return Sample(title, row["question"], row["gold"], row["reasoning"])
