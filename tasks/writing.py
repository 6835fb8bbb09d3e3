"""Making the tables that several stages write: graded completions, and training examples."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from latent_core.benchmarks.problem import Problem
from latent_core.config.prompting import Prompting, TextFormat
from latent_core.config.sampling import SamplingConfig
from latent_core.exemplars import Exemplar
from latent_core.generate.completions import graded_completions, sample_schema
from latent_core.store import ArtifactWriter
from tasks.inputs import Model
from tasks.stage import Outcome, Workplace
from tasks.tables import SAMPLES, TRAIN, VALIDATION
from tasks.workers.engines import served, usage_record, used, warm_engine
from tasks.workers.warm import warm_readable


def write_collection(
    out: ArtifactWriter,
    model: Model,
    problems: Sequence[Problem],
    sampling: SamplingConfig,
    workplace: Workplace,
    *,
    benchmark: str,
    prompting: Prompting = Prompting.RATIO,
    text_format: TextFormat = TextFormat.BOXED,
    exemplars: Callable[[Problem], Sequence[Exemplar]] = lambda problem: (),
    seen: Callable[[Mapping[str, Any]], None] = lambda row: None,
) -> Outcome:
    """Have the model answer the problems, and write its graded completions as they come; `seen` gets each of them."""
    loaded = served(workplace, model, sampling)
    began = time.monotonic()
    engine = warm_engine(loaded, model.fingerprint, sampling)
    loading = time.monotonic() - began
    total = len(problems) * sampling.samples
    readable = warm_readable(loaded.model_dir, model.fingerprint)
    completions = graded_completions(
        problems,
        readable,
        engine,
        sampling,
        benchmark=benchmark,
        prompting=prompting,
        text_format=text_format,
        exemplars=exemplars,
        progress=lambda done, generated: workplace.progress(done, total, generated),
    )
    verdicts: Counter[str] = Counter()
    started, tokens, used_before = time.monotonic(), 0, used(engine)
    schema = sample_schema(logprobs=sampling.logprobs, echoed=readable.family.echoes)
    with SAMPLES.write(out, schema) as table:
        for row in completions:
            verdicts[row["verdict"]] += 1
            tokens += row["tokens"]
            table.add(row)
            seen(row)
    return Outcome(
        accounting={"kept": table.rows},
        metrics={"questions": len(problems), "tokens": tokens, "verdicts": dict(verdicts)},
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
