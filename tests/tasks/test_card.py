"""The stages `mini_card` and `compressor_card`: the model as it was trained, with what was measured of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from latent_core.store import ArtifactRef, begin
from tasks.card import CardConfig, CompressorCardInputs, MiniCardInputs, compressor_card, mini_card
from tests.support.stage_bench import StageBench

CARD = CardConfig(title="A model", summary="What it is for.")


def _trained(bench: StageBench, stage: str, metrics: dict[str, Any]) -> ArtifactRef:
    ref = ArtifactRef(stage, "a" * 64)
    with begin(bench.store, ref) as out:
        with out.directory("model") as directory:
            (directory / "config.json").write_text("{}")
        out.commit(metrics=metrics)
    return ref


def _read(directory: Path) -> str:
    assert (directory / "config.json").read_text() == "{}"
    return (directory / "README.md").read_text()


def test_mini_card_tells_the_accuracy_of_every_number_of_steps(bench: StageBench) -> None:
    model = _trained(bench, "train", {"parameters": 7})
    levels = {"2": {"questions": 40, "accuracy": 0.25}, "1": {"questions": 60, "accuracy": 0.905}}
    evaluation = bench.input("evaluate", metrics={"levels": levels})
    made = bench.perform(mini_card.call(CARD, MiniCardInputs(model, evaluation)))
    page = _read(made.directory("model"))
    assert page.startswith("# A model\n\nWhat it is for.\n")
    assert page.index("| 1 | 60 | 90.5% |") < page.index("| 2 | 40 | 25.0% |")
    assert "a" * 64 in page and made.manifest.content.metrics == {"parameters": 7}


def test_compressor_card_tells_the_agreement_beside_what_chance_and_word_counts_reach(bench: StageBench) -> None:
    metrics = {"model": [0.7, 0.6, 0.8], "word_lookup": [0.6, 0.5, 0.55], "random": [0.5, 0.5, 0.5]}
    model = _trained(bench, "train_compressor", metrics | {"held_out_words": 1234})
    page = _read(bench.perform(compressor_card.call(CARD, CompressorCardInputs(model))).directory("model"))
    assert "Agreement with the labels of 1,234 held-out words:" in page
    assert "| held out | accuracy | f1 | auc |" in page and "| model | 0.700 | 0.600 | 0.800 |" in page
    assert "| random | 0.500 | 0.500 | 0.500 |" in page
