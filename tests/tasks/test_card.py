"""The stages `mini_card` and `compressor_card`: the model as it was trained, with what was measured of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from latent_core.evaluation.summary import summarise
from latent_core.identity import fingerprint
from latent_core.store import ArtifactRef, begin
from tasks.card import CardConfig, CompressorCardInputs, MiniCardInputs, compressor_card, mini_card
from tasks.inputs import ModelInput
from tests.support.stage_bench import StageBench

CARD = CardConfig(title="A model", summary="What it is for.")


def _trained(bench: StageBench, stage: str, metrics: dict[str, Any]) -> ArtifactRef:
    ref = ArtifactRef(stage, "a" * 64)
    with begin(bench.store, ref) as out:
        with out.directory("model") as directory:
            (directory / "config.json").write_text("{}")
        out.commit(metrics=metrics, parents={"prepared": ArtifactRef("mini_corpus", "c" * 64)})
    return ref


def _read(directory: Path) -> str:
    assert (directory / "config.json").read_text() == "{}"
    return (directory / "README.md").read_text()


def _evaluation(bench: StageBench, accuracy: float, tokens: int, questions: int = 100) -> ArtifactRef:
    """A finished evaluation of half easy and half hard questions, of which so many are answered rightly."""
    right = round(accuracy * questions)
    rows = [
        {"question_id": f"q{place}", "sample_index": 0, "level": str(1 + place % 2), "answer": "4", "tokens": tokens,
         "reasoning_tokens": tokens, "latent_tokens": 0, "verdict": "correct" if place < right else "wrong"}
        for place in range(questions)
    ]  # fmt: skip
    return bench.input("evaluate", metrics=summarise(rows).to_metrics())


def test_mini_card_tells_accuracy_by_steps_by_prompting_and_under_every_noise(bench: StageBench) -> None:
    model = _trained(bench, "train", {"parameters": 7})
    initial, corpus = bench.input("mini_init"), bench.input("mini_corpus", config={"noise": 0.5})
    noise = {"none": _evaluation(bench, 0.9, 80, 50), "letters": _evaluation(bench, 0.88, 81, 50)}
    inputs = MiniCardInputs(
        initial,
        corpus,
        model,
        _evaluation(bench, 0.9, 80),
        {"concise": _evaluation(bench, 0.87, 40)},
        noise | {"suffix": _evaluation(bench, 0.5, 79, 50)},
    )
    made = bench.perform(mini_card.call(CARD, inputs))
    page = _read(made.directory("model"))
    assert page.startswith("# A model\n\nWhat it is for.\n")
    assert page.index("| 1 | 50 | 90.0% |") < page.index("| 2 | 50 | 90.0% |")
    assert "| plain question | 100 | 90.0% | 80 |" in page and "| concise | 100 | 87.0% | 40 |" in page
    assert "| letters | yes | 50 | 88.0% | 81 |" in page and "| suffix | held back | 50 | 50.0% | 79 |" in page
    assert "a" * 64 in page and made.manifest.content.metrics == {"parameters": 7}


def test_mini_card_of_a_corpus_without_noise_says_that_none_was_seen(bench: StageBench) -> None:
    noise = {"none": _evaluation(bench, 0.9, 80, 50), "letters": _evaluation(bench, 0.5, 81, 50)}
    inputs = MiniCardInputs(
        bench.input("mini_init"),
        bench.input("mini_corpus"),
        _trained(bench, "train", {}),
        _evaluation(bench, 0.9, 80),
        {},
        noise,
    )
    page = _read(bench.perform(mini_card.call(CARD, inputs)).directory("model"))
    assert "| letters | no | 50 | 50.0% | 81 |" in page


def _part(bench: StageBench, model: ArtifactRef, corpus: ArtifactRef, rate: float) -> ArtifactRef:
    """A training of 100 steps of 4 examples."""
    config = {"steps": 100, "batch_size": 4, "learning_rate": rate}
    parents = {"model": model.fingerprint, "prepared": corpus.fingerprint}
    ref = ArtifactRef("train", fingerprint("train", 1, config, parents))
    with begin(bench.store, ref) as out:
        with out.directory("model") as directory:
            (directory / "config.json").write_text("{}")
        out.commit(config=config, record={"device": "one GPU"}, parents={"model": model, "prepared": corpus})
    return ref


def test_mini_card_of_a_model_trained_in_parts_tells_of_each(bench: StageBench) -> None:
    config, tokens = {"problems": 200}, {"tokens": {"train": 3_000_000}}
    untrained = bench.input("mini_init", config={"layers": 6})
    corpus, gone = bench.input("mini_corpus", config=config, metrics=tokens), ArtifactRef("mini_corpus", "d" * 64)
    first = _part(bench, untrained, gone, 0.2)
    second = _part(bench, first, corpus, 0.1)
    last = _part(bench, second, corpus, 0.05)
    page = _read(
        bench.perform(
            mini_card.call(CARD, MiniCardInputs(second, corpus, last, _evaluation(bench, 0.9, 80)))
        ).directory("model")
    )
    assert "It was trained in 3 parts. Those before the last:" in page
    assert f"| 1 | `{first}` | 100 | 4 | 0.2 | - | 0 minutes on one GPU |" in page
    assert f"| 2 | `{second}` | 100 | 4 | 0.1 | 6.0 million | 0 minutes on one GPU |" in page
    assert "This training read about 6.0 million tokens (2.00 passes over the corpus)." in page
    assert page.index("The untrained model") < page.index("layers: 6") < page.index("3 parts")


def test_mini_card_names_what_a_training_began_with_where_the_store_has_it_no_more(bench: StageBench) -> None:
    corpus = bench.input("mini_corpus")
    first = _part(bench, ArtifactRef("mini_init", "d" * 64), corpus, 0.2)
    inputs = MiniCardInputs(first, corpus, _part(bench, first, corpus, 0.1), _evaluation(bench, 0.9, 80))
    page = _read(bench.perform(mini_card.call(CARD, inputs)).directory("model"))
    assert "What the first of them began with is not in the store: `mini_init/dddddddddddd`." in page


def test_mini_card_of_a_model_that_went_on_from_a_directory_names_its_content(bench: StageBench) -> None:
    first = ModelInput.find("latent-mini")
    inputs = MiniCardInputs(
        first, bench.input("mini_corpus"), _trained(bench, "train", {}), _evaluation(bench, 0.9, 80)
    )
    page = _read(bench.perform(mini_card.call(CARD, inputs)).directory("model"))
    assert f"It went on from a model whose fingerprint is `{first.fingerprint}`." in page


def test_compressor_card_tells_the_agreement_beside_what_chance_and_word_counts_reach(bench: StageBench) -> None:
    metrics = {"model": [0.7, 0.6, 0.8], "word_lookup": [0.6, 0.5, 0.55], "random": [0.5, 0.5, 0.5]}
    model = _trained(bench, "train_compressor", metrics | {"held_out_words": 1234})
    page = _read(bench.perform(compressor_card.call(CARD, CompressorCardInputs(model))).directory("model"))
    assert "Agreement with the labels of 1,234 held-out words:" in page
    assert "| held out | accuracy | f1 | auc |" in page and "| model | 0.700 | 0.600 | 0.800 |" in page
    assert "| random | 0.500 | 0.500 | 0.500 |" in page
