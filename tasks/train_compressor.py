"""Stage `train_compressor`: a token classifier for LLMLingua-2 compression, from words that `label_words` labelled."""

from __future__ import annotations

from dataclasses import asdict
from typing import NamedTuple

from latent_core.compressor_training.labels import LabelledText
from latent_core.compressor_training.training import TrainingSettings, train_token_classifier
from latent_core.config.train_compressor import TrainCompressorConfig
from latent_core.store import Artifact, ArtifactRef, ArtifactWriter
from tasks.inputs import Input, numbered
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import HELD_OUT, LABELLED, Table


class TrainCompressorInputs(NamedTuple):
    """Labelled words: of one benchmark, or of several."""

    labels: ArtifactRef | None = None
    corpora: tuple[ArtifactRef, ...] = ()

    def roles(self) -> dict[str, Input]:
        one: dict[str, Input] = {} if self.labels is None else {"labels": self.labels}
        return one | numbered("labels", self.corpora)


@stage("train_compressor", version=1)
def train_compressor(
    out: ArtifactWriter, inputs: TrainCompressorInputs, config: TrainCompressorConfig, workplace: Workplace
) -> Outcome:
    corpora = [workplace.artifact(ref) for ref in (inputs.labels, *inputs.corpora) if ref is not None]
    rows = [row for corpus in corpora for row in _read(corpus, LABELLED)]
    held_out = [row for corpus in corpora for row in _read(corpus, HELD_OUT)]
    settings = TrainingSettings(**config.model_dump())
    with out.directory("model") as directory:
        report = train_token_classifier(
            rows, directory, held_out=held_out, settings=settings, checkpoints=workplace.scratch / "checkpoints"
        )
    metrics = asdict(report)
    return Outcome(
        accounting={"kept": len(rows), "held_out": len(held_out)},
        record={"train_seconds": metrics.pop("seconds")},
        metrics=metrics,
    )


def _read(corpus: Artifact, table: Table) -> list[LabelledText]:
    return [LabelledText.from_row(row) for row in table.rows(corpus)]
