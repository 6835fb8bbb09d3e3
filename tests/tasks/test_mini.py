"""The stages `mini_init` and `mini_corpus`: an untrained model, and the examples that it is trained on."""

from __future__ import annotations

from latent_core import prompts
from latent_core.config.mini import MiniCorpusConfig, MiniInitConfig, MiniRecipeConfig
from latent_core.config.prompting import Prompting
from latent_core.models.family import load_tokenizer
from latent_core.sft.registers import TELEGRAM_INSTRUCTIONS
from tasks.inputs import ProblemsInput
from tasks.mini import MiniCorpusInputs, MiniInitInputs, mini_corpus, mini_init
from tasks.tables import TRAIN, VALIDATION
from tests.support.stage_bench import StageBench

GENERATOR = ProblemsInput.generator("train", 1)


def test_mini_init_makes_the_shape_and_mini_corpus_writes_what_its_tokenizer_reads_back(bench: StageBench) -> None:
    shape = MiniInitConfig(layers=1, hidden=64, intermediate=64, heads=1, key_value_heads=1, tokenizer_problems=50)
    initial = bench.perform(mini_init.call(shape, MiniInitInputs(GENERATOR)))
    tokenizer = load_tokenizer(initial.directory("model"))
    metrics = initial.manifest.content.metrics
    assert metrics["vocabulary"] == len(tokenizer) <= 1024
    assert 64 * len(tokenizer) < metrics["parameters"] < 64 * len(tokenizer) + 50_000  # tied embeddings and one layer

    config = MiniCorpusConfig(problems=5, validation_problems=2, difficulties=(1,))
    corpus = bench.perform(mini_corpus.call(config, MiniCorpusInputs(initial.ref, GENERATOR)))
    training, validation = list(TRAIN.rows(corpus)), list(VALIDATION.rows(corpus))
    assert (len(training), len(validation)) == (5, 2) and corpus.manifest.content.accounting == {"kept": 7}
    assert training[0] not in validation
    assert "</think>" in tokenizer.decode(training[0]["input_ids"])
    assert all(len(row["input_ids"]) == len(row["labels"]) for row in training)


def test_mini_corpus_of_the_second_edition_writes_registers_and_counts_its_tokens(bench: StageBench) -> None:
    shape = MiniInitConfig(layers=1, hidden=64, intermediate=64, heads=1, key_value_heads=1, tokenizer_problems=50)
    generator = ProblemsInput.generator("train", 2)
    initial = bench.perform(mini_init.call(shape, MiniInitInputs(generator)))
    config = MiniRecipeConfig(problems=60, validation_problems=4, difficulties=(1, 2))
    corpus = bench.perform(mini_corpus.call(config, MiniCorpusInputs(initial.ref, generator)))
    training = list(TRAIN.rows(corpus))
    tokenizer = load_tokenizer(initial.directory("model"))
    texts = [tokenizer.decode(row["input_ids"]) for row in training]
    assert corpus.manifest.content.metrics["tokens"]["train"] == sum(len(row["input_ids"]) for row in training)
    concise = prompts.extra_instruction(Prompting.CONCISE, 1.0)
    assert sum(concise in text for text in texts) > 3 and sum("A baker has 24 rolls." in text for text in texts) > 3
    assert sum(any(instruction in text for instruction in TELEGRAM_INSTRUCTIONS) for text in texts) > 5
    plain = bench.perform(mini_corpus.call(MiniCorpusConfig(problems=5), MiniCorpusInputs(initial.ref, generator)))
    assert all(concise not in tokenizer.decode(row["input_ids"]) for row in TRAIN.rows(plain))
