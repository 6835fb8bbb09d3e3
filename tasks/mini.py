"""Stages `mini_init` and `mini_corpus`: the embedded model before training, and what it is trained on."""

from __future__ import annotations

from typing import NamedTuple

from latent_core.config.mini import MiniCorpusConfig, MiniInitConfig
from latent_core.config.registers import RegisterShares
from latent_core.models.mini import MiniShape, train_tokenizer, write_initial_model
from latent_core.sft.corpus_processes import corpus
from latent_core.sft.mini_corpus import Recipe, tokenizer_texts
from latent_core.store import ArtifactWriter
from tasks.inputs import Model, ProblemsInput
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import TRAIN, VALIDATION, token_schema

NOISE = 0.3  # share of the tokenizer's texts that carry noise


class MiniInitInputs(NamedTuple):
    """The generator whose texts the tokenizer is trained on."""

    problems: ProblemsInput


class MiniCorpusInputs(NamedTuple):
    """The initial model, whose tokenizer writes the examples, and the generator of their problems."""

    model: Model
    problems: ProblemsInput


@stage("mini_init", version=2)  # 2: remarks with words without a meaning
def mini_init(out: ArtifactWriter, inputs: MiniInitInputs, config: MiniInitConfig, workplace: Workplace) -> Outcome:
    shape = MiniShape(
        layers=config.layers,
        hidden=config.hidden,
        intermediate=config.intermediate,
        heads=config.heads,
        key_value_heads=config.key_value_heads,
        context=config.context,
    )
    edition = inputs.problems.config.generator
    recipe = Recipe(edition, config.difficulties)
    if edition > 1:  # the tokenizer of the first edition has read whole sentences only
        recipe = Recipe(edition, config.difficulties, RegisterShares(), NOISE)
    with out.directory("model") as directory:
        texts = tokenizer_texts(recipe, config.tokenizer_problems)
        tokenizer = train_tokenizer(texts, config.vocabulary_size)
        parameters = write_initial_model(directory, tokenizer, shape, config.seed)
    return Outcome(metrics={"parameters": parameters, "vocabulary": len(tokenizer)})


@stage("mini_corpus", version=2)  # 2: remarks with words without a meaning
def mini_corpus(
    out: ArtifactWriter, inputs: MiniCorpusInputs, config: MiniCorpusConfig, workplace: Workplace
) -> Outcome:
    model_dir = workplace.model_dir(inputs.model)
    recipe = Recipe(inputs.problems.config.generator, config.difficulties, config.registers, config.noise)
    total = config.problems + config.validation_problems
    done, tokens = 0, {}
    for table, split, count in (
        (TRAIN, "train", config.problems),
        (VALIDATION, "validation", config.validation_problems),
    ):
        tokens[split] = 0
        with table.write(out, token_schema()) as rows:
            for block in corpus(model_dir, recipe, split, count, config.processes):
                rows.extend(block.rows())
                done += len(block.prompts)
                tokens[split] += len(block.ids)
                workplace.progress(done, total, 0)
    return Outcome(accounting={"kept": total}, metrics={"tokens": tokens})
