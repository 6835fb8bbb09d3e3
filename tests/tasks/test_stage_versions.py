"""Golden fingerprints: one per stage, for a fixed configuration. A change here is a change of identity.

When a stage's output changes for the same inputs, raise its version and replace its line; a new identity field replaces
it too; never edit a line otherwise.
"""

from __future__ import annotations

import pytest

from latent_core.config.base import StageConfig
from latent_core.config.compressor import LabelWordsConfig, TrainCompressorConfig
from latent_core.config.grpo import GrpoConfig
from latent_core.config.mini import MiniCorpusConfig, MiniInitConfig
from latent_core.config.sampling import SamplingConfig
from latent_core.config.tokenskip import CompressConfig, DualBuildConfig, PrepareConfig, ScoreWordsConfig
from latent_core.config.training import TrainConfig
from latent_core.store import ArtifactRef
from tasks.collect import COLLECT, CollectShard
from tasks.comparison import COMPARE_EVALUATIONS, CompareEvaluations
from tasks.compress import COMPRESS, SCORE_WORDS
from tasks.compressor import LABEL_WORDS, TRAIN_COMPRESSOR
from tasks.evaluate import EVALUATE, EvaluateCondition
from tasks.grpo import GRPO
from tasks.label_kinds import COMPARE_LABEL_KINDS, CompareLabelKinds
from tasks.merge import MERGED, Merge
from tasks.mini import MINI_CORPUS, MINI_INIT
from tasks.prepare import PREPARE, PREPARE_WARM_START, WarmStartExamples
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
    (PREPARE, PrepareConfig(), "33d8eb2565cbdd0c"),
    (
        PREPARE_WARM_START,
        WarmStartExamples(questions=5, validation_share=0.1, max_length=64, seed=0),
        "36ebe4fbb08bfb01",
    ),
    (BUILD_DUAL, DualBuildConfig(), "61e9c7d41d78d180"),
    (TRAIN_STAGE, TrainConfig(), "98148bd1a36bd4f9"),
    (EVALUATE, EvaluateCondition(sampling=SamplingConfig(), questions=5, ratio=0.5), "8c7cde0e5142c22d"),
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
