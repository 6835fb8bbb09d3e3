"""Writing the tables that several stages make: graded completions, and training examples."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from latent_core.config.sampling import SamplingConfig
from latent_core.generate.completions import sample_schema
from latent_core.generate.engine import Engine
from latent_core.store import ArtifactWriter
from tasks.stage import Outcome
from tasks.tables import SAMPLES, TRAIN, VALIDATION
from tasks.workers.engines import usage_record, used


def write_collection(
    out: ArtifactWriter,
    completions: Iterable[dict[str, Any]],
    sampling: SamplingConfig,
    questions: int,
    engine: Engine,
    loading: float,
) -> Outcome:
    """Write graded completions as they come; `loading` is the seconds that the engine took before."""
    verdicts: Counter[str] = Counter()
    started, tokens, used_before = time.monotonic(), 0, used(engine)
    with SAMPLES.write(out, sample_schema(logprobs=sampling.logprobs)) as table:
        for row in completions:
            verdicts[row["verdict"]] += 1
            tokens += row["tokens"]
            table.add(row)
    return Outcome(
        accounting={"kept": table.rows},
        metrics={"questions": questions, "tokens": tokens, "verdicts": dict(verdicts)},
        record={"tokens_per_second": tokens / (time.monotonic() - started), "engine_seconds": loading}
        | usage_record(engine, used_before),
    )


def write_examples(out: ArtifactWriter, examples: Iterable[Mapping[str, Any]], accounting: Counter[str]) -> Outcome:
    """Write examples into one table a split, with rows and tokens of each as metrics."""
    tokens: Counter[str] = Counter()
    with ExitStack() as stack:
        tables = {
            "train": stack.enter_context(TRAIN.write(out)),
            "validation": stack.enter_context(VALIDATION.write(out)),
        }
        for example in examples:
            tables[example["split"]].add(example)
            tokens[example["split"]] += len(example["input_ids"])
    rows = {split: table.rows for split, table in tables.items()}
    return Outcome(accounting=accounting, metrics={"rows": rows, "tokens": dict(tokens)})
