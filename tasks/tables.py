"""The tables that stages exchange: where each lies in an artifact, and what its columns are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from latent_core.chains import chain_schema
from latent_core.compress.corpus import compressed_schema, score_schema
from latent_core.evaluation.compressions import measured_schema
from latent_core.generate.completions import sample_schema
from latent_core.methods.concise import selected_schema
from latent_core.methods.quality import quality_schema
from latent_core.rl.play.turn_table import turn_schema
from latent_core.sft.examples import example_schema
from latent_core.store import Artifact, ArtifactWriter, TableWriter


@dataclass(frozen=True)
class Table:
    """A table of an artifact: its file, and the schema that it is written with."""

    file: str
    schema: Callable[[], pa.Schema]

    def write(self, out: ArtifactWriter, schema: pa.Schema | None = None) -> AbstractContextManager[TableWriter]:
        """A writer of the table; `schema` where it has other columns this time."""
        return out.table(self.file, self.schema() if schema is None else schema)

    def rows(self, artifact: Artifact, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """The rows of a finished artifact's table, in order; with `columns` only these."""
        return artifact.rows_of(self.file, columns)


def _labelled_schema() -> pa.Schema:
    ints = pa.list_(pa.int32())
    return pa.schema([("text", pa.string()), ("starts", ints), ("ends", ints), ("labels", ints)])


def _reference_schema() -> pa.Schema:
    """`tokens`: mean reasoning tokens of the question's correct samples; of all references where it has none (`own` is
    false)."""
    return pa.schema(
        [("question_id", pa.string()), ("tokens", pa.float64()), ("own", pa.bool_()), ("correct", pa.int32())]
    )


def token_schema() -> pa.Schema:
    """The columns of examples that training reads; `labels` is -100 where nothing is learned."""
    ints = pa.list_(pa.int32())
    return pa.schema([("input_ids", ints), ("labels", ints)])


def chains_table(shard: int, *, is_late: bool = False) -> Table:
    """Chains of thought of somebody else, of one shard; the late ones stood in the source after the shard's rows."""
    return Table(f"{'late' if is_late else 'chains'}-{shard:06}.parquet", chain_schema)


SAMPLES = Table("samples.parquet", sample_schema)
"""Graded completions: of a collection, of an evaluation (there with the columns of its metrics)."""
SCORES = Table("scores.parquet", score_schema)
"""The words of every chain of thought, and what each is worth."""
COMPRESSED = Table("compressed.parquet", compressed_schema)
"""Every chain of thought at every ratio."""
MEASURED = Table("measured.parquet", measured_schema)
"""What every compression kept, and how well the answer is read off it."""
QUALITY = Table("quality.parquet", quality_schema)
"""How sure the base model is of the answer after each text."""
EXEMPLARS = Table("exemplars.parquet", selected_schema)
"""Samples that are shown as worked examples."""
SELECTED = Table("selected.parquet", selected_schema)
"""Samples that are trained on."""
TRAIN = Table("train.parquet", example_schema)
VALIDATION = Table("validation.parquet", example_schema)
"""Training examples; those of `mini_corpus` have the columns of `token_schema` only."""
TURNS = Table("turns.parquet", turn_schema)
"""Episodes in an environment, a row a turn."""
REFERENCES = Table("references.parquet", _reference_schema)
"""How long the start model reasons at ratio 1, a row a training question."""
LABELLED = Table("labelled.parquet", _labelled_schema)
HELD_OUT = Table("held_out.parquet", _labelled_schema)
"""Texts with the spans of their words and a label (keep or drop) for each; the second are not trained on."""

GRADED_REASONING = ("question_id", "sample_index", "question", "gold", "reasoning", "verdict")
"""The columns of SAMPLES from which training examples are made."""
