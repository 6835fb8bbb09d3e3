"""Golden fingerprints: one per stage, for a fixed configuration. A change here is a change of identity.

When a stage's output changes for the same inputs, raise its version and replace its line; a new identity field replaces
it too; never edit a line otherwise.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest

import tasks
from latent_core.config.base import StageConfig
from latent_core.config.compress import CompressConfig, ScoreWordsConfig
from latent_core.config.concise import PrepareSelectedConfig, SelectExemplarsConfig, SelectShortestConfig
from latent_core.config.direct import DirectExamplesConfig
from latent_core.config.dual import DualBuildConfig
from latent_core.config.grpo import GrpoConfig
from latent_core.config.label_words import LabelWordsConfig
from latent_core.config.mini import MiniCorpusConfig, MiniInitConfig
from latent_core.config.prepare import PrepareConfig
from latent_core.config.prompting import TextFormat
from latent_core.config.quality import QualityConfig
from latent_core.config.sampling import SamplingConfig
from latent_core.config.train_compressor import TrainCompressorConfig
from latent_core.config.training import TrainConfig
from latent_core.store import ArtifactRef
from tasks.card import COMPRESSOR_CARD, MINI_CARD, CardConfig
from tasks.collect import COLLECT, CollectShard
from tasks.comparison import COMPARE_EVALUATIONS, CompareEvaluations
from tasks.compress import COMPRESS, SCORE_WORDS
from tasks.compressor import LABEL_WORDS, TRAIN_COMPRESSOR
from tasks.concise import (
    COLLECT_FEW_SHOT,
    PREPARE_SELECTED,
    SELECT_EXEMPLARS,
    SELECT_SHORTEST,
    FewShotShard,
    PrepareFormat,
)
from tasks.contamination import CONTAMINATION, CheckContamination
from tasks.direct import PREPARE_DIRECT
from tasks.evaluate import EVALUATE, TRUNCATE, EvaluateCondition, TruncateCondition
from tasks.grpo import GRPO
from tasks.label_kinds import COMPARE_LABEL_KINDS, CompareLabelKinds
from tasks.merge import MERGED, Merge
from tasks.mini import MINI_CORPUS, MINI_INIT
from tasks.prepare import PREPARE, PREPARE_WARM_START, WarmStartExamples
from tasks.quality import SCORE_QUALITY
from tasks.report import REPORT, ReportConfig
from tasks.stage import Stage
from tasks.train import BUILD_DUAL, TRAIN_STAGE

PARENT = ArtifactRef("parent", "0" * 64)
CASES: list[tuple[Stage, StageConfig, str]] = [
    (COLLECT, CollectShard(sampling=SamplingConfig(), start=0, stop=10), "f3f96bd39dd4d0d1"),
    (SCORE_WORDS, ScoreWordsConfig(), "e97d0a21b6a605e6"),
    (SCORE_WORDS, ScoreWordsConfig(spans=True), "af3070941e8bd33c"),
    (COMPRESS, CompressConfig(), "9c9b9148b96dcb02"),
    (MERGED["collect"], Merge(shards=2), "ea6ead69431a5322"),
    (MERGED["score_words"], Merge(shards=2), "10e7dec9c0258d5e"),
    (MERGED["compress"], Merge(shards=2), "e9291c16cf373102"),
    (MERGED["collect_few_shot"], Merge(shards=2), "5d6465d968286a71"),
    (SCORE_QUALITY, QualityConfig(), "53cb1e0678eab815"),
    (PREPARE, PrepareConfig(), "33d8eb2565cbdd0c"),
    (
        PREPARE_WARM_START,
        WarmStartExamples(questions=5, validation_share=0.1, max_length=64, seed=0),
        "36ebe4fbb08bfb01",
    ),
    (BUILD_DUAL, DualBuildConfig(), "61e9c7d41d78d180"),
    (TRAIN_STAGE, TrainConfig(), "98148bd1a36bd4f9"),
    (EVALUATE, EvaluateCondition(sampling=SamplingConfig(), questions=5, ratio=0.5), "8c7cde0e5142c22d"),
    (TRUNCATE, TruncateCondition(ratio=0.5), "2fca005af6b55726"),
    (CONTAMINATION, CheckContamination(questions=5, training=7), "f4419c1591b0aa04"),
    (SELECT_EXEMPLARS, SelectExemplarsConfig(), "3e4cd233c7050e68"),
    (
        COLLECT_FEW_SHOT,
        FewShotShard(sampling=SamplingConfig(), start=0, stop=10, per_prompt=8, seed=0, text_format=TextFormat.BOXED),
        "c9cdc9499991713f",
    ),
    (SELECT_SHORTEST, SelectShortestConfig(), "cd4271a88c73e0ac"),
    (
        PREPARE_SELECTED,
        PrepareFormat(prepare=PrepareSelectedConfig(), text_format=TextFormat.BOXED),
        "56bb37c5cc674e87",
    ),
    (PREPARE_DIRECT, DirectExamplesConfig(), "12a76cb2bc90daf9"),
    (MINI_CARD, CardConfig(title="t", summary="s"), "21602993dc021e8f"),
    (COMPRESSOR_CARD, CardConfig(title="t", summary="s"), "d903f9548e2782b8"),
    (REPORT, ReportConfig(title="t"), "9766434169a815e9"),
    (MINI_INIT, MiniInitConfig(), "6b76f4825accaf9c"),
    (MINI_CORPUS, MiniCorpusConfig(), "5f59e84792ad6f2d"),
    (LABEL_WORDS, LabelWordsConfig(), "fddeb11adfec1493"),
    (TRAIN_COMPRESSOR, TrainCompressorConfig(), "705006bda6fda880"),
    (COMPARE_LABEL_KINDS, CompareLabelKinds(), "a7cbfbdf781a9887"),
    (COMPARE_EVALUATIONS, CompareEvaluations(), "ac48cfb315ddba0e"),
    (GRPO, GrpoConfig(), "2dbd08069a231779"),
]


@pytest.mark.parametrize(("stage", "config", "golden"), CASES, ids=[case[0].name for case in CASES])
def test_fingerprint_of_stage_is_golden(stage: Stage, config: StageConfig, golden: str) -> None:
    assert stage.call(config, {"parent": PARENT}).ref.fingerprint[:16] == golden


def test_every_stage_has_a_golden_fingerprint() -> None:
    stages = set()
    for module in pkgutil.walk_packages(tasks.__path__, "tasks."):
        try:
            found = vars(import_module(module.name)).values()
        except ModuleNotFoundError as error:
            assert error.name in {"ray", "distributed"}, module.name  # optional packages, which hold no stage
            continue
        stages |= {item.name for item in found if isinstance(item, Stage)}
        stages |= {
            stage.name
            for item in found
            if isinstance(item, dict)
            for stage in item.values()
            if isinstance(stage, Stage)
        }
    assert stages == {stage.name for stage, _, _ in CASES}
