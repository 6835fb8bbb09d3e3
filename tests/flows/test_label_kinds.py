"""Which stages the comparison of label kinds asks for, and which parameters it refuses. Plans only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flows.compressor import summary
from flows.label_kinds import compose
from latent_core.config.compressor import CompressorConfig, Corpus
from latent_core.config.label_kinds import LabelKindsConfig
from latent_core.config.label_words import LabelKind, LabelWordsConfig
from tasks.run.plan import open_plan


def _plan(root: Path, **settings: Any) -> dict[str, str]:
    """Fingerprints by title."""
    config = LabelKindsConfig.model_validate(
        {"collect": {"questions": 4}, "store": str(root), "tracking": {"enabled": False}, **settings}
    )
    run = open_plan("label-kinds", config)
    compose(config, run)
    return {line.title: line.ref.fingerprint for line in run.lines}


def test_kinds_share_the_chains_of_thought_and_differ_from_the_labels_on(tmp_path: Path) -> None:
    plan = _plan(tmp_path, kinds=["surprisal", "answer_ablation"])
    assert len([title for title in plan if title.startswith("collect_shard")]) == 1
    for stage in ("label_words {}", "train_compressor {}", "score_words_shard {} 1/1", "compress {}", "train {}"):
        assert plan[stage.format("surprisal")] != plan[stage.format("answer_ablation")]
    assert {"compress random", "train random"} <= set(plan)
    assert "label_words random" not in plan


def test_compressor_of_a_kind_does_not_depend_on_what_it_is_compared_with(tmp_path: Path) -> None:
    one, three = _plan(tmp_path, kinds=["answer_ablation"]), _plan(tmp_path)
    assert one["train answer_ablation"] == three["train answer_ablation"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kinds": ["surprisal", "surprisal"]}, "kinds: one appears twice"),
        ({"labels": {"kind": "surprisal"}}, r"labels\.kind: this flow labels by every one"),
        ({"compress": {"model": "random"}}, r"compress\.model: this flow compresses with"),
        ({"prepare": {"ratios": [0.2]}}, r"prepare\.ratios: \[0\.2\] are not in compress\.ratios"),
    ],
)
def test_parameters_that_the_flow_sets_itself_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LabelKindsConfig.model_validate(settings)


def test_card_of_a_compressor_says_who_labelled_and_by_what() -> None:
    assert "its surprisal under SmolLM2-135M-Instruct exceeds the median of its text." in summary(CompressorConfig())
    labels = LabelWordsConfig(kind=LabelKind.ANSWER_ABLATION)
    corpus = Corpus(benchmark=CompressorConfig().corpora[0].benchmark, labels=labels)
    other = summary(CompressorConfig(labeller="latent-mini", corpora=(corpus,)))
    assert "latent-mini's log P(answer) over random halves" in other and "SmolLM2" not in other
