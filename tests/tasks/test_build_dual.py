"""The stage `build_dual`: a model with latents, chosen by a file or by what training will see."""

from __future__ import annotations

from pathlib import Path

import pytest

from latent_core.config.dual import DualBuildConfig
from latent_core.dual.vocabulary import DualVocabulary
from latent_core.errors import InputError
from latent_core.models.family import load_tokenizer
from tasks.build_dual import BuildDualInputs, build_dual
from tasks.inputs import FileInput
from tasks.tables import COMPRESSED, SAMPLES
from tests.support.stage_bench import MINI, StageBench, sample


def test_build_dual_copies_the_whole_vocabulary_unless_told_otherwise(bench: StageBench) -> None:
    made = bench.perform(build_dual.call(DualBuildConfig(), BuildDualInputs(MINI)))
    vocabulary = DualVocabulary.load(made.directory("model"))
    metrics = made.manifest.content.metrics
    assert metrics == {"visible_size": vocabulary.visible_size, "latent_size": vocabulary.latent_size}
    assert vocabulary.latent_size > 500


def test_build_dual_takes_the_latents_that_a_file_lists(bench: StageBench, tmp_path: Path) -> None:
    ids = tmp_path / "ids.json"
    ids.write_text("[20, 21, 22]")
    config = DualBuildConfig.model_validate({"mode": "subset", "ids_file": str(ids)})
    inputs = BuildDualInputs(MINI, ids_file=FileInput.find("dual.ids_file", str(ids)))
    made = bench.perform(build_dual.call(config, inputs))
    assert made.manifest.content.metrics["latent_size"] == 3


def test_build_dual_counts_tokens_of_correct_reasoning_and_of_compressions(bench: StageBench) -> None:
    config = DualBuildConfig.model_validate({"mode": "subset", "seen_at_least": 3})
    small = {"question_id": "q1", "sample_index": 0, "ratio": 0.5, "text": "2 2", "achieved_ratio": 0.5}
    counts = {"tokens_before": 8, "tokens_after": 4, "answer_retained": True}
    samples = bench.input("collect", {SAMPLES: [sample(1, "2"), sample(2, "7 7 7 7 7", "wrong")]})
    compressed = bench.input("compress", {COMPRESSED: [small | counts]})
    made = bench.perform(build_dual.call(config, BuildDualInputs(MINI, samples, compressed)))
    vocabulary, tokenizer = DualVocabulary.load(made.directory("model")), load_tokenizer(made.directory("model"))
    seen, unseen = tokenizer.convert_tokens_to_ids(["2", "7"])
    assert vocabulary.has_mirror([seen, unseen]).tolist() == [True, False]  # 7 stands in wrong reasoning alone


def test_build_dual_by_what_was_seen_needs_the_texts(bench: StageBench) -> None:
    config = DualBuildConfig.model_validate({"mode": "subset", "seen_at_least": 3})
    with pytest.raises(InputError, match=r"dual\.seen_at_least"):
        bench.perform(build_dual.call(config, BuildDualInputs(MINI)))
