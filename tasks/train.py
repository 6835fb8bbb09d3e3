"""Stage `train`: fine-tuning on prepared examples, with checkpoints to resume from."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

from latent_core.config.training import TrainConfig
from latent_core.device_memory import device_name
from latent_core.dual.vocabulary import DualVocabulary
from latent_core.store import Artifact, ArtifactRef, ArtifactWriter
from tasks.inputs import Model
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import TRAIN, VALIDATION, Table, token_schema
from tasks.workers.training import checkpoints_of, training_progress
from tasks.workers.warm import cool_down


class TrainInputs(NamedTuple):
    """The model to start from, and the examples."""

    model: Model
    prepared: ArtifactRef


# 2: by_length orders and evaluation losses that batches do not change
@stage("train", version=2, shown=True)
def train(out: ArtifactWriter, inputs: TrainInputs, config: TrainConfig, workplace: Workplace) -> Outcome:
    from latent_core.sft import trainer

    cool_down()  # a warm vLLM engine holds nine tenths of a GPU
    model_dir, prepared = workplace.model_dir(inputs.model), workplace.artifact(inputs.prepared)
    latent_ids: range | tuple[()] = ()
    if (vocabulary := DualVocabulary.find(model_dir)) is not None:
        latent_ids = range(vocabulary.visible_size, vocabulary.visible_size + vocabulary.latent_size)
    with out.directory("weights") as directory:
        result = trainer.train(
            model_dir,
            _examples(prepared, TRAIN),
            _examples(prepared, VALIDATION),
            config,
            out_dir=directory,
            checkpoint_dir=checkpoints_of(workplace),
            latent_ids=latent_ids,
            progress=training_progress(workplace),
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
            "device": device_name(),
        },
    )


def _examples(prepared: Artifact, table: Table) -> pa.Table:
    schema = token_schema()
    return pa.Table.from_batches(list(prepared.batches(table.file, schema.names)), schema)
