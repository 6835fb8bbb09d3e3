"""Golden fingerprints: one per stage, for a fixed configuration. A change here is a change of identity.

When a stage's output changes for the same inputs, raise its version and replace its line; a new identity field replaces
it too; never edit a line otherwise.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any

import pytest

import tasks
from latent_core.config.agents import AgentConfig, LegalPlayConfig, PlayConfig
from latent_core.config.base import StageConfig
from latent_core.config.chains import ChainColumns
from latent_core.config.compress import CompressConfig, ScoreWordsConfig, Unit
from latent_core.config.concise import PrepareSelectedConfig, SelectExemplarsConfig, SelectShortestConfig
from latent_core.config.direct import DirectExamplesConfig
from latent_core.config.dual import DualBuildConfig
from latent_core.config.evaluate import Intervention
from latent_core.config.grpo import GrpoConfig
from latent_core.config.label_words import LabelWordsConfig
from latent_core.config.lengths import ReferenceLengths
from latent_core.config.measure import MeasureCompressionsConfig
from latent_core.config.mini import MiniCorpusConfig, MiniInitConfig
from latent_core.config.prepare import PrepareConfig
from latent_core.config.prompting import TextFormat
from latent_core.config.ratio_form import RatioTokensConfig
from latent_core.config.rl import ReferencePlayConfig
from latent_core.config.sampling import SamplingConfig
from latent_core.config.train_compressor import TrainCompressorConfig
from latent_core.config.training import LossSupport, TrainConfig
from latent_core.identity import fingerprint
from tasks.agent import train_agent
from tasks.build_dual import build_dual
from tasks.card import CardConfig, compressor_card, mini_card
from tasks.chains import GradeChains, ReadChains, grade_chains, read_chains
from tasks.collect import CollectShard, collect_shard
from tasks.compare import CompareEvaluations, compare_evaluations
from tasks.compare_arms import CompareArms, compare_arms
from tasks.compress import compress, score_words
from tasks.concise import (
    FewShotShard,
    PrepareFormat,
    collect_few_shot,
    prepare_selected,
    select_exemplars,
    select_shortest,
)
from tasks.contamination import CheckContamination, check_contamination
from tasks.direct import prepare_direct
from tasks.evaluate import EvaluateCondition, TruncateCondition, evaluate, truncate
from tasks.grpo import train_policy
from tasks.intervene import InterveneCondition, intervene
from tasks.label_kinds import CompareLabelKinds, compare_label_kinds
from tasks.label_words import label_words
from tasks.legal_play import write_legal_play
from tasks.measure_compressions import measure_compressions
from tasks.merge import MERGED, Merge
from tasks.mini import mini_corpus, mini_init
from tasks.play import play
from tasks.prepare import WarmStartExamples, prepare, prepare_warm_start
from tasks.quality import ScoreQuality, score_quality
from tasks.ratio_tokens import build_ratio_tokens
from tasks.reference_lengths import measure_reference_lengths
from tasks.reference_play import reference_play
from tasks.report import ReportConfig, write_report
from tasks.report_agents import ReportAgents, report_agents
from tasks.stage import Stage
from tasks.train import train
from tasks.train_compressor import train_compressor

CASES: list[tuple[Stage[Any, Any], StageConfig, str]] = [
    (collect_shard, CollectShard(sampling=SamplingConfig(), start=0, stop=10), "f3f96bd39dd4d0d1"),
    (
        read_chains,
        ReadChains(columns=ChainColumns(question="q", completion="c", answer="a"), rows=10, shard_rows=5),
        "2fe780f797d5e118",
    ),
    (grade_chains, GradeChains(shard=0), "047cc213cb370aac"),
    (score_words, ScoreWordsConfig(), "e97d0a21b6a605e6"),
    (score_words, ScoreWordsConfig(spans=True), "af3070941e8bd33c"),
    (compress, CompressConfig(), "9c9b9148b96dcb02"),
    (compress, CompressConfig(unit=Unit.SPAN, scoring=ScoreWordsConfig(spans=True)), "0206259f9fa0c06e"),
    (compress, CompressConfig(model="cts:m", unit=Unit.SPAN, scoring=ScoreWordsConfig(spans=True)), "09c89b981c3e1ea8"),
    (measure_compressions, MeasureCompressionsConfig(), "a1e6288f0d3972c3"),
    (MERGED["collect"], Merge(shards=2), "ea6ead69431a5322"),
    (MERGED["score_words"], Merge(shards=2), "10e7dec9c0258d5e"),
    (MERGED["compress"], Merge(shards=2), "e9291c16cf373102"),
    (MERGED["collect_few_shot"], Merge(shards=2), "5d6465d968286a71"),
    (score_quality, ScoreQuality(), "53cb1e0678eab815"),
    (score_quality, ScoreQuality(support=LossSupport.PHASE), "9a53d4803dc4f3e7"),
    (prepare, PrepareConfig(), "33d8eb2565cbdd0c"),
    (
        prepare_warm_start,
        WarmStartExamples(questions=5, validation_share=0.1, max_length=64, seed=0),
        "36ebe4fbb08bfb01",
    ),
    (build_dual, DualBuildConfig(), "61e9c7d41d78d180"),
    (build_ratio_tokens, RatioTokensConfig(), "40847e27b9f95fc2"),
    (train, TrainConfig(), "98148bd1a36bd4f9"),
    (evaluate, EvaluateCondition(sampling=SamplingConfig(), questions=5, ratio=0.5), "8c7cde0e5142c22d"),
    (truncate, TruncateCondition(ratio=0.5), "2fca005af6b55726"),
    (
        intervene,
        InterveneCondition(intervention=Intervention.SWAP, sampling=SamplingConfig()),
        "767fbf08a9caa9b7",
    ),
    (check_contamination, CheckContamination(questions=5, training=7), "f4419c1591b0aa04"),
    (select_exemplars, SelectExemplarsConfig(), "3e4cd233c7050e68"),
    (
        collect_few_shot,
        FewShotShard(sampling=SamplingConfig(), start=0, stop=10, per_prompt=8, seed=0, text_format=TextFormat.BOXED),
        "c9cdc9499991713f",
    ),
    (select_shortest, SelectShortestConfig(), "cd4271a88c73e0ac"),
    (
        prepare_selected,
        PrepareFormat(prepare=PrepareSelectedConfig(), text_format=TextFormat.BOXED),
        "56bb37c5cc674e87",
    ),
    (prepare_direct, DirectExamplesConfig(), "12a76cb2bc90daf9"),
    (mini_card, CardConfig(title="t", summary="s"), "62fed6492e15ad4e"),
    (compressor_card, CardConfig(title="t", summary="s"), "d903f9548e2782b8"),
    (write_report, ReportConfig(title="t"), "b646c9a86c5ec5eb"),
    (mini_init, MiniInitConfig(), "31c5c00b9d4f692b"),
    (mini_corpus, MiniCorpusConfig(), "0b1bb3759f8d3cac"),
    (label_words, LabelWordsConfig(), "fddeb11adfec1493"),
    (train_compressor, TrainCompressorConfig(), "705006bda6fda880"),
    (compare_label_kinds, CompareLabelKinds(), "3c6638a594df14fd"),
    (compare_evaluations, CompareEvaluations(), "992487e64dd2ff26"),
    (compare_arms, CompareArms(title="t"), "c7ff7a0f02f213d4"),
    (write_legal_play, LegalPlayConfig(), "2b100f680d16b66a"),
    (play, PlayConfig(), "3772fdae98cc973b"),
    (train_agent, AgentConfig(), "d3fa4bac9a6b6065"),
    (reference_play, ReferencePlayConfig(), "9ac350bfb3c39ff6"),
    (report_agents, ReportAgents(title="t"), "3abf350dc01211c7"),
    (train_policy, GrpoConfig(), "a4147f1bb615f614"),
    (train_policy, GrpoConfig.model_validate({"length": {"reward": "gated"}}), "d176051d7207e092"),
    (measure_reference_lengths, ReferenceLengths(sampling=SamplingConfig(), questions=5), "201b72c79cce9b30"),
]


@pytest.mark.parametrize(("stage", "config", "golden"), CASES, ids=[case[0].name for case in CASES])
def test_fingerprint_of_stage_is_golden(stage: Stage[Any, Any], config: StageConfig, golden: str) -> None:
    assert fingerprint(stage.name, stage.version, config, {"parent": "0" * 64})[:16] == golden


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
