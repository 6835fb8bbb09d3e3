"""Stage `measure_compressions`: what compressed chains of thought keep, and how well a model reads the answer off them.

Nothing is trained. One call a compressor and unit; all ratios of its compressions are measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from latent_core.config.measure import MeasureCompressionsConfig
from latent_core.config.prompting import TextFormat
from latent_core.errors import InputError
from latent_core.evaluation.compressions import by_ratio, first_questions, measured
from latent_core.methods.quality import texts_to_score
from latent_core.store import ArtifactRef, ArtifactWriter
from tasks.inputs import Model
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import COMPRESSED, GRADED_REASONING, MEASURED, SAMPLES
from tasks.workers.engines import make_room, warm_scorer

if TYPE_CHECKING:
    from latent_core.reward.scorer import Scorer

_COMPRESSED = ("question_id", "sample_index", "ratio", "text", "achieved_ratio")


class MeasureCompressionsInputs(NamedTuple):
    """The model that reads them, the chains of thought, and their compressions by one compressor."""

    model: Model
    samples: ArtifactRef
    compressed: ArtifactRef


@stage("measure_compressions", version=2)
def measure_compressions(
    out: ArtifactWriter, inputs: MeasureCompressionsInputs, config: MeasureCompressionsConfig, workplace: Workplace
) -> Outcome:
    scorer, reason = _scorer(inputs.model, workplace)
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
    beyond = compressed.rows - read
    if beyond and config.questions is None:
        raise InputError(
            f"compressed: {beyond} of {compressed.rows} rows belong to no sample in order; the compressions were made "
            "from another collection"
        )
    unscored = {} if reason is None else {"not_scored": reason}
    return Outcome(
        accounting={"kept": read, "beyond_questions": beyond}, metrics={"by_ratio": by_ratio(rows), **unscored}
    )


def _scorer(model: Model, workplace: Workplace) -> tuple[Scorer | None, str | None]:
    """The model as a scorer, or the reason why it cannot be one: then all else is measured."""
    model_dir = workplace.model_dir(model)
    make_room()
    try:
        return warm_scorer(model_dir, model.fingerprint, TextFormat.BOXED), None
    except InputError as error:
        return None, str(error)
