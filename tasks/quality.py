"""Stage `score_quality`: how sure the base model is of the answer after every text that may become an example."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, NamedTuple

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT
from latent_core.config.quality import QualityConfig
from latent_core.config.training import LossSupport
from latent_core.dual import DualVocabulary
from latent_core.errors import InputError
from latent_core.methods.quality import QualityScorer, quality_report, spanned, texts_to_score
from latent_core.models.readable import ReadableModel
from latent_core.store import ArtifactRef, ArtifactWriter
from tasks.inputs import Model
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import COMPRESSED, GRADED_REASONING, QUALITY, SAMPLES
from tasks.workers.engines import make_room

_TEXTS_PER_CALL = 512  # bounds memory, large enough to batch by length


class ScoreQuality(QualityConfig):
    """The section of the parameters, and over which ids the judge's probabilities are."""

    support: Annotated[LossSupport, IDENTITY, OMITTED_AT_DEFAULT] = LossSupport.FULL
    """phase for a dual judge, which is read as it is sampled; for any other all ids (full)."""


class QualityInputs(NamedTuple):
    """Chains of thought, their compressions, and the model that judges them."""

    model: Model
    samples: ArtifactRef
    compressed: ArtifactRef


@stage("score_quality", version=1)
def score_quality(out: ArtifactWriter, inputs: QualityInputs, config: ScoreQuality, workplace: Workplace) -> Outcome:
    model_dir = workplace.model_dir(inputs.model)
    if (DualVocabulary.find(model_dir) is not None) != (config.support is LossSupport.PHASE):
        raise InputError(f"support: is {config.support.value}; phase is for dual judges, and full for all others")
    make_room()
    model, scorer = ReadableModel.load(model_dir), QualityScorer(model_dir, config)
    compressed = workplace.artifact(inputs.compressed)
    texts = texts_to_score(
        SAMPLES.rows(workplace.artifact(inputs.samples), GRADED_REASONING),
        COMPRESSED.rows(compressed, ("question_id", "sample_index", "ratio", "text")),
    )
    scores: dict[float, list[float]] = {}
    with QUALITY.write(out) as table:
        while block := list(islice(texts, _TEXTS_PER_CALL)):
            items = [spanned(row["question"], row["text"], row["gold"], model, config.span) for row in block]
            for row, item, score in zip(block, items, scorer.scores(items), strict=True):
                scores.setdefault(row["ratio"], []).append(score)
                named = {name: row[name] for name in ("question_id", "sample_index", "ratio")}
                table.add(named | {"score": score, "tokens": item.stop - item.start})
            workplace.progress(table.rows, compressed.rows, 0)
    return Outcome(accounting={"kept": table.rows}, metrics={"quality": quality_report(scores)})
