"""Stage `measure_compressions`: what compressed chains of thought keep, and how well a model reads the answer off them.

Nothing is trained. One call a compressor and unit; all ratios of its compressions are measured.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from latent_core.config.measure import MeasureCompressionsConfig
from latent_core.config.prompting import TextFormat
from latent_core.evaluation.compressions import by_ratio, first_questions, measured
from latent_core.methods.quality import texts_to_score
from latent_core.store import ArtifactRef, ArtifactWriter
from tasks.inputs import Model
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import COMPRESSED, GRADED_REASONING, MEASURED, SAMPLES
from tasks.workers.engines import make_room, warm_scorer

_COMPRESSED = ("question_id", "sample_index", "ratio", "text", "achieved_ratio")


class MeasureCompressionsInputs(NamedTuple):
    """The model that reads them, the chains of thought, and their compressions by one compressor."""

    model: Model
    samples: ArtifactRef
    compressed: ArtifactRef


@stage("measure_compressions", version=1)
def measure_compressions(
    out: ArtifactWriter, inputs: MeasureCompressionsInputs, config: MeasureCompressionsConfig, workplace: Workplace
) -> Outcome:
    model_dir = workplace.model_dir(inputs.model)
    make_room()
    scorer = warm_scorer(model_dir, inputs.model.fingerprint, TextFormat.BOXED)
    compressed = workplace.artifact(inputs.compressed)
    texts = texts_to_score(
        SAMPLES.rows(workplace.artifact(inputs.samples), GRADED_REASONING), COMPRESSED.rows(compressed, _COMPRESSED)
    )
    rows: list[dict[str, Any]] = []
    read = 0
    with MEASURED.write(out) as table:
        for sample in first_questions(texts, config.questions):
            found = measured(sample, scorer)
            table.extend(found)
            rows += found
            read += len(sample) - 1
            workplace.progress(read, compressed.rows, 0)
    return Outcome(
        accounting={"kept": read, "beyond_questions": compressed.rows - read}, metrics={"by_ratio": by_ratio(rows)}
    )
