"""Stages `mini_init` and `mini_corpus`: the embedded model before training, and what it is trained on."""

from __future__ import annotations

from typing import NamedTuple

from latent_core.config.mini import MiniCorpusConfig, MiniInitConfig
from latent_core.models.family import load_tokenizer
from latent_core.models.mini import MiniShape, train_tokenizer, write_initial_model
from latent_core.sft.mini_corpus import examples, tokenizer_texts
from latent_core.store import ArtifactRef, ArtifactWriter
from tasks.inputs import ProblemsInput
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import TRAIN, VALIDATION, token_schema


class MiniInitInputs(NamedTuple):
    """The generator whose texts the tokenizer is trained on."""

    problems: ProblemsInput


class MiniCorpusInputs(NamedTuple):
    """The initial model, whose tokenizer writes the examples, and the generator of their problems."""

    model: ArtifactRef
    problems: ProblemsInput


@stage("mini_init", version=1)
def mini_init(out: ArtifactWriter, inputs: MiniInitInputs, config: MiniInitConfig, workplace: Workplace) -> Outcome:
    shape = MiniShape(
        layers=config.layers,
        hidden=config.hidden,
        intermediate=config.intermediate,
        heads=config.heads,
        key_value_heads=config.key_value_heads,
        context=config.context,
    )
    with out.directory("model") as directory:
        texts = tokenizer_texts(config.tokenizer_problems, config.difficulties)
        tokenizer = train_tokenizer(texts, config.vocabulary_size)
        parameters = write_initial_model(directory, tokenizer, shape, config.seed)
    return Outcome(metrics={"parameters": parameters, "vocabulary": len(tokenizer)})


@stage("mini_corpus", version=1)
def mini_corpus(
    out: ArtifactWriter, inputs: MiniCorpusInputs, config: MiniCorpusConfig, workplace: Workplace
) -> Outcome:
    tokenizer = load_tokenizer(workplace.model_dir(inputs.model))
    total = config.problems + config.validation_problems
    done = 0
    for table, split, count in (
        (TRAIN, "train", config.problems),
        (VALIDATION, "validation", config.validation_problems),
    ):
        with table.write(out, token_schema()) as rows:
            for row in examples(tokenizer, split, count, config.difficulties):
                rows.add(row)
                done += 1
                if done % 1000 == 0:
                    workplace.progress(done, total, 0)
    return Outcome(accounting={"kept": total})
