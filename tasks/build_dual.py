"""Stage `build_dual`: a model with a second, latent copy of its vocabulary, verified."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from latent_core.config.dual import DualBuildConfig
from latent_core.dual import build
from latent_core.dual.files import read_embeddings, read_ids, read_tokens
from latent_core.dual.verify import verify_dual
from latent_core.errors import InputError, StageFailed
from latent_core.loading import NO_CODE
from latent_core.sft.coverage import count_reasoning_tokens, coverage_of, seen_at_least
from latent_core.store import Artifact, ArtifactRef, ArtifactWriter
from tasks.inputs import FileInput, Model
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import COMPRESSED, SAMPLES


class BuildDualInputs(NamedTuple):
    """The model, and what chooses its latent tokens: files of a user, or the reasoning that training will see."""

    model: Model
    samples: ArtifactRef | None = None
    compressed: ArtifactRef | None = None
    ids_file: FileInput | None = None
    tokens_file: FileInput | None = None
    embeddings_file: FileInput | None = None


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
            initial=config.initial,
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
    for row in SAMPLES.rows(samples, ("reasoning", "verdict")):
        if row["verdict"] == "correct":
            yield row["reasoning"]
    for row in COMPRESSED.rows(compressed, ("text",)):
        yield row["text"]
