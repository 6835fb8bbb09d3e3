"""Stages `score_words` (the encoder's only pass, no ratio) and `compress` (arithmetic), one artifact per shard."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from latent_core.compress.choice import group_score
from latent_core.compress.compressor import ScoringOptions
from latent_core.compress.corpus import (
    COT_COLUMNS,
    RatioDrift,
    compressed_rows,
    scored_rows,
    scored_samples,
)
from latent_core.compress.selection import SelectionOptions
from latent_core.config.compress import CompressConfig, ScoreWordsConfig
from latent_core.store import ArtifactRef, ArtifactWriter
from tasks.inputs import Compressor, Model
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import COMPRESSED, SAMPLES, SCORES
from tasks.workers.warm import warm_compressor, warm_readable


class ScoreWordsInputs(NamedTuple):
    """A shard of samples, and what scores their words."""

    samples: ArtifactRef
    compressor: Compressor


class CompressInputs(NamedTuple):
    """A shard of scored words, and the model whose tokens count what is kept."""

    scores: ArtifactRef
    model: Model


@stage("score_words_shard", version=1)
def score_words(
    out: ArtifactWriter, inputs: ScoreWordsInputs, config: ScoreWordsConfig, workplace: Workplace
) -> Outcome:
    options = ScoringOptions(
        force_tokens=config.force_tokens, force_reserve_digit=config.force_reserve_digit, spans=config.spans
    )
    compressor = warm_compressor(workplace.compressor_spec(inputs.compressor), inputs.compressor.fingerprint, options)
    samples = workplace.artifact(inputs.samples)
    accounting: Counter[str] = Counter()
    with SCORES.write(out) as table:
        rows = scored_rows(SAMPLES.rows(samples, COT_COLUMNS), compressor, config.max_cot_tokens, accounting)
        for row in rows:
            table.add(row)
            workplace.progress(sum(accounting.values()), samples.rows, 0)
    return Outcome(accounting=accounting)


@stage("compress_shard", version=1)
def compress(out: ArtifactWriter, inputs: CompressInputs, config: CompressConfig, workplace: Workplace) -> Outcome:
    model = warm_readable(workplace.model_dir(inputs.model), inputs.model.fingerprint)
    options = SelectionOptions(
        unit=config.unit,
        group_score=group_score(config.model),
        ratio_of=config.ratio_of,
        drop_consecutive=config.scoring.force_tokens if config.drop_consecutive else (),
        keep_numbers=config.keep_numbers,
        keep_operators=config.keep_operators,
        keep_latex_commands=config.keep_latex_commands,
        keep_value=config.keep_value,
    )
    scores = workplace.artifact(inputs.scores)
    drift = RatioDrift()
    with COMPRESSED.write(out) as table:
        for row in compressed_rows(scored_samples(scores.batches(SCORES.file)), config.ratios, options, model.count):
            table.add(row)
            drift.add(row)
    return Outcome(accounting={"kept": table.rows}, metrics={"ratios": drift.rows()})
