"""Stages `build_dual` and `train`: the dual-vocabulary model, and fine-tuning with checkpoints to resume from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from latent_core.config.dual import DualBuildConfig
from latent_core.config.training import TrainConfig
from latent_core.dual import build
from latent_core.dual.files import read_embeddings, read_ids, read_tokens
from latent_core.dual.verify import verify_dual
from latent_core.dual.vocabulary import DualVocabulary
from latent_core.errors import InputError, StageFailed
from latent_core.loading import NO_CODE
from latent_core.sft.coverage import count_reasoning_tokens, coverage_of, seen_at_least
from latent_core.store import Artifact, ArtifactRef, ArtifactWriter
from tasks.collect import SAMPLES
from tasks.compress import COMPRESSED
from tasks.inputs import FileInput, Model
from tasks.prepare import TRAIN, VALIDATION
from tasks.stage import Outcome, Workplace, stage
from tasks.workers.warm import cool_down


class BuildDualInputs(NamedTuple):
    """The model, and what chooses its latent tokens: files of a user, or the reasoning that training will see."""

    model: Model
    samples: ArtifactRef | None = None
    compressed: ArtifactRef | None = None
    ids_file: FileInput | None = None
    tokens_file: FileInput | None = None
    embeddings_file: FileInput | None = None


class TrainInputs(NamedTuple):
    """The model to start from, and the examples."""

    model: Model
    prepared: ArtifactRef


@stage("build_dual", version=1)
def build_dual(out: ArtifactWriter, inputs: BuildDualInputs, config: DualBuildConfig, workplace: Workplace) -> Outcome:
    base = workplace.model_dir(inputs.model)
    counts = None
    subset_ids = None if inputs.ids_file is None else read_ids(inputs.ids_file.open())
    if config.seen_at_least is not None:
        from transformers import AutoTokenizer

        if inputs.samples is None or inputs.compressed is None:
            raise InputError("dual.seen_at_least: needs the chains of thought and their compressions as inputs")
        reasoning = _reasoning(workplace.artifact(inputs.samples), workplace.artifact(inputs.compressed))
        tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True, **NO_CODE)
        counts = count_reasoning_tokens(reasoning, tokenizer)
        subset_ids = seen_at_least(counts, config.seen_at_least)
    with out.directory("model") as directory:
        report = build.build_dual(
            base,
            directory,
            mode=config.mode,
            subset_ids=subset_ids,
            subset_pattern=config.pattern,
            custom_tokens=None if inputs.tokens_file is None else read_tokens(inputs.tokens_file.open()),
            custom_embeddings=None
            if inputs.embeddings_file is None
            else read_embeddings(inputs.embeddings_file.open()),
            think_missing=config.think_missing,
            seed=config.seed,
        )
        verification = verify_dual(directory)
        if not verification.ok:
            raise StageFailed("build_dual: the dual model does not verify:\n" + "\n".join(verification.lines()))
    metrics: dict[str, Any] = {"visible_size": report.visible_size, "latent_size": report.latent_size}
    if counts is not None:
        metrics |= coverage_of(counts, report.vocabulary).as_metrics()
    return Outcome(metrics=metrics, record={"peak_rss_bytes": report.peak_rss_bytes})


def _reasoning(samples: Artifact, compressed: Artifact) -> Iterator[str]:
    """All reasoning that training will see: correct samples and their compressions."""
    for row in samples.rows_of(SAMPLES, ("reasoning", "verdict")):
        if row["verdict"] == "correct":
            yield row["reasoning"]
    for row in compressed.rows_of(COMPRESSED, ("text",)):
        yield row["text"]


# 2: by_length orders and evaluation losses that batches do not change
@stage("train", version=2, shown=True)
def train(out: ArtifactWriter, inputs: TrainInputs, config: TrainConfig, workplace: Workplace) -> Outcome:
    from latent_core.sft import trainer

    cool_down()  # a warm vLLM engine holds nine tenths of a GPU
    model_dir, prepared = workplace.model_dir(inputs.model), workplace.artifact(inputs.prepared)
    latent_ids: range | tuple[()] = ()
    if (vocabulary := DualVocabulary.find(model_dir)) is not None:
        latent_ids = range(vocabulary.visible_size, vocabulary.visible_size + vocabulary.latent_size)
    checkpoints = workplace.scratch / "checkpoints"
    with out.directory("weights") as directory:
        result = trainer.train(
            model_dir,
            _table(prepared, TRAIN),
            _table(prepared, VALIDATION),
            config,
            out_dir=directory,
            checkpoint_dir=checkpoints,
            latent_ids=latent_ids,
            progress=lambda done, total: workplace.progress(done, total, 0),
        )
    return Outcome(
        metrics={
            "best_eval_loss": result.best_eval_loss,
            "parameters": result.total_parameters,
            "trainable_parameters": result.trainable_parameters,
        },
        record={
            "curve": result.curve,
            "resumed_from_step": result.resumed_from_step,
        },
    )


def _table(prepared: Artifact, name: str) -> pa.Table:
    schema = pa.schema([("input_ids", pa.list_(pa.int32())), ("labels", pa.list_(pa.int32()))])
    return pa.Table.from_batches(list(prepared.batches(name, ["input_ids", "labels"])), schema)
