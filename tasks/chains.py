"""Stages `read_chains` and `grade_chains` (sharded): chains of thought of others, as `collect` would have them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from operator import itemgetter
from typing import Annotated, Any, NamedTuple

from latent_core.chains import ChainReader, LateChains, chain_samples
from latent_core.chains.names import Names
from latent_core.chains.reading import PlacedChain
from latent_core.config.base import IDENTITY, StageConfig
from latent_core.config.chains import ChainColumns, ChainGrading, Unmarked
from latent_core.store import Artifact, ArtifactRef, ArtifactWriter
from tasks.inputs import ChainsInput, Model
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import SAMPLES, chains_table
from tasks.workers.warm import warm_readable

_PROGRESS_ROWS = 500  # between reports


class ReadChains(StageConfig):
    """Which columns are read of how many rows, into shards of so many rows."""

    columns: Annotated[ChainColumns, IDENTITY]
    rows: Annotated[int, IDENTITY]
    shard_rows: Annotated[int, IDENTITY]
    unmarked: Annotated[Unmarked, IDENTITY] = Unmarked.SOLUTION
    grading: Annotated[ChainGrading, IDENTITY] = ChainGrading.MATHEMATICS
    """What it asks of a row: an answer, and one that is a letter."""

    @property
    def shards(self) -> int:
        return -(-self.rows // self.shard_rows)


class GradeChains(StageConfig):
    """One shard of what was read."""

    shard: Annotated[int, IDENTITY]
    grading: Annotated[ChainGrading, IDENTITY] = ChainGrading.MATHEMATICS


class ReadChainsInputs(NamedTuple):
    """A file or data set."""

    source: ChainsInput


class GradeChainsInputs(NamedTuple):
    """The model that shall learn from them, in whose tokens they are counted, and what was read."""

    model: Model
    chains: ArtifactRef


@stage("read_chains", version=2)
def read_chains(out: ArtifactWriter, inputs: ReadChainsInputs, config: ReadChains, workplace: Workplace) -> Outcome:
    source = inputs.source.open()
    workplace.scratch.mkdir(parents=True, exist_ok=True)
    late = LateChains(workplace.scratch)
    with Names(workplace.scratch / "names.sqlite") as names:
        reader = ChainReader(source, config.grading, config.unmarked, config.shard_rows, names)
        _write_shards(out, _told(reader, config.rows, workplace), config.shards, late)
    inputs.source.open()  # once more: what was read while somebody wrote to it is not what its fingerprint says
    for shard in filter(late.has, range(config.shards)):
        with chains_table(shard, is_late=True).write(out) as table:
            table.extend(late.of(shard))
    metrics = {
        "rows": reader.rows,
        "rows_without_chain": reader.empty_rows,
        "questions": names.questions,
        "late": late.count,
    }
    return Outcome(
        accounting=reader.accounting,
        metrics=metrics,
        record={"source": inputs.source.source, "left_out": reader.faults},
    )


def _told(reader: ChainReader, rows: int, workplace: Workplace) -> Iterator[PlacedChain]:
    told = 0
    workplace.progress(0, rows, 0)
    for chain in reader.placed():
        if reader.rows - told >= _PROGRESS_ROWS:
            told = reader.rows
            workplace.progress(told, rows, 0)
        yield chain
    workplace.progress(reader.rows, rows, 0)


def _write_shards(out: ArtifactWriter, chains: Iterator[PlacedChain], shards: int, late: LateChains) -> None:
    """A table for each shard, empty ones too; a chain whose question began in an earlier shard waits."""
    chain = next(chains, None)
    for shard in range(shards):
        with chains_table(shard).write(out) as table:
            while chain is not None and chain.read_in == shard:
                if chain.shard == shard:
                    table.add(chain.row)
                else:
                    late.add(chain.shard, chain.row)
                chain = next(chains, None)


@stage("grade_chains_shard", version=1)
def grade_chains(out: ArtifactWriter, inputs: GradeChainsInputs, config: GradeChains, workplace: Workplace) -> Outcome:
    model = warm_readable(workplace.model_dir(inputs.model), inputs.model.fingerprint)
    chains = _of_shard(workplace.artifact(inputs.chains), config.shard)
    accounting: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    tokens, started = 0, time.monotonic()
    questions: set[str] = set()
    rows = chain_samples(
        chains, model, config.grading, accounting, lambda done, made: workplace.progress(done, len(chains), made)
    )
    with SAMPLES.write(out) as table:
        for row in rows:
            verdicts[row["verdict"]] += 1
            tokens += row["tokens"]
            questions.add(row["question_id"])
            table.add(row)
    return Outcome(
        accounting=accounting,
        metrics={"questions": len(questions), "tokens": tokens, "verdicts": dict(verdicts)},
        record={"tokens_per_second": tokens / max(1e-9, time.monotonic() - started)},
    )


def _of_shard(chains: Artifact, shard: int) -> list[dict[str, Any]]:
    """A shard's chains, those of a question together: questions by their first rows, samples by their numbers."""
    late = chains_table(shard, is_late=True)
    rows = list(chains_table(shard).rows(chains))
    if any(file.path == late.file for file in chains.manifest.content.files):
        rows += late.rows(chains)
    return sorted(rows, key=itemgetter("question_number", "sample_index"))
