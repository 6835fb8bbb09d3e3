"""The stages `mini_init` and `mini_corpus`: an untrained model, and the examples that it is trained on."""

from __future__ import annotations

from latent_core.config.mini import MiniCorpusConfig, MiniInitConfig
from latent_core.models.family import load_tokenizer
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
