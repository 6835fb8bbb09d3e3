"""Which stages the methods beside TokenSkip run, in their plans: nothing is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from flows.launch.parameters import checked
from flows.launch.registry import find_flow
from latent_core.config.concise import ConciseConfig
from latent_core.errors import InputError
from tasks.run.plan import PlannedStage, open_plan

ROOT = Path(__file__).parents[2]
EMBEDDED = {"model": "latent-mini", "benchmark": {"name": "word_problems"}}


def _plan(flow: str, root: Path, settings: dict[str, Any]) -> list[PlannedStage]:
    entry = find_flow(flow)
    config = entry.config.model_validate({**settings, "store": str(root), "tracking": {"enabled": False}})
    run = open_plan(entry.name, config)
    entry.compose(config, run)
    return run.lines


def _titles(flow: str, root: Path, settings: dict[str, Any]) -> list[str]:
    return [line.title for line in _plan(flow, root, settings)]


def test_direct_trains_on_answers_and_is_compared_with_the_untrained_model(tmp_path: Path) -> None:
    settings = {"evaluate": {"baselines": ["concise", "chain_of_draft"]}}
    assert _titles("direct", tmp_path, settings) == [
        "prepare_direct",
        "train direct",
        "evaluate base",
        "evaluate base concise",
        "evaluate base chain of draft",
        "evaluate direct",
        "contamination",
        "report",
    ]


def test_concise_collects_twice_and_trains_on_the_shortest_of_both(tmp_path: Path) -> None:
    settings = {"collect": {"questions": 4, "shard_questions": 2}, "evaluate": {"base": False}}
    assert _titles("concise", tmp_path, settings) == [
        "collect_shard 1/2",
        "collect_shard 2/2",
        "collect",
        "select_exemplars",
        "collect_few_shot_shard 1/2",
        "collect_few_shot_shard 2/2",
        "collect_few_shot",
        "select_shortest",
        "prepare_selected",
        "train concise",
        "evaluate concise",
        "contamination",
        "report",
    ]


def test_format_changes_what_is_shown_and_trained_but_not_the_zero_shot_samples(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"collect": {"questions": 2}, "evaluate": {"baselines": []}}
    xml, raw = (
        {line.title: line.ref for line in _plan("concise", tmp_path, settings | {"text_format": name})}
        for name in ("xml", "raw_text")
    )
    same = {title for title in xml if xml[title] == raw[title]}
    assert same == {"collect_shard 1/1", "collect", "select_exemplars", "evaluate base", "contamination"}


def test_distilling_sketches_samples_under_their_prompt_and_trains_under_the_plain_one(tmp_path: Path) -> None:
    settings = yaml.safe_load((ROOT / "deployments/sketch-of-thought.yaml").read_text()) | EMBEDDED
    config = ConciseConfig.model_validate(settings)
    assert (config.collect.sampling.samples, config.select.keep) == (16, 4)
    sketches, plain = (
        {line.title: line.ref for line in _plan("concise", tmp_path, settings | {"collect": collect})}
        for collect in ({"questions": 2, "prompting": "sketch_of_thought"}, {"questions": 2})
    )
    assert not any("few_shot" in title for title in sketches)
    assert {"evaluate base sketch of thought", "evaluate base chain of draft"} <= sketches.keys()
    assert sketches["collect_shard 1/1"] != plain["collect_shard 1/1"]
    assert sketches["evaluate base"] == plain["evaluate base"]


def test_reinforcement_evaluates_the_model_before_and_after_and_counts_its_completions(tmp_path: Path) -> None:
    settings = {"grpo": {"steps": 20, "iterations": 2}, "evaluate": {"ratios": [1.0, 0.5]}}
    plan = _plan("grpo", tmp_path, settings)
    assert [line.title for line in plan] == [
        "grpo",
        "evaluate policy start 1",
        "evaluate policy start 0.5",
        "evaluate policy grpo 1",
        "evaluate policy grpo 0.5",
        "contamination",
        "report",
    ]
    assert plan[0].rows == 10 * 8 * 8


def test_length_term_measures_the_start_model_once_for_all_seeds_and_rewards(tmp_path: Path) -> None:
    plans = [
        {line.title: line for line in _plan("grpo", tmp_path, {"grpo": {"steps": 20} | settings})}
        for settings in (
            {},
            {"length": {"reward": "gated"}},
            {"length": {"reward": "hmpo"}, "seed": 3},
            {"length": {"reward": "hmpo", "reference_samples": 2}},
        )
    ]
    plain, gated, hmpo, fewer = plans
    assert "reference_lengths" not in plain and gated["reference_lengths"].rows == 1000 * 4
    assert gated["reference_lengths"].ref == hmpo["reference_lengths"].ref != fewer["reference_lengths"].ref
    assert len({plan["grpo"].ref for plan in plans}) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": {"alpha": 0.5}}, r"grpo\.length\.alpha: has no effect without a length term"),
        ({"length": {"reward": "hmpo", "rate": 0.1}}, r"grpo\.length\.rate: hmpo has no weight"),
        ({"length": {"reward": "lcpo_max", "rate": 0.1}}, r"grpo\.length\.rate: lcpo_max only shortens"),
        ({"length": {"reward": "gated", "alpha": 0}}, r"grpo\.length\.alpha: is 0 and stays so"),
        ({"length": {"reward": "exact"}}, r"grpo\.length\.reward: .*lcpo_exact"),
        ({"length": {"reward": "gated"}, "reward": {"judge": "logprob"}}, r"grpo\.length\.reward: .*no verdict"),
        ({"length": {"reward": "gated"}, "reward": {"length_cost": 0.1}}, r"grpo\.reward\.length_cost: would pull"),
    ],
)
def test_length_that_makes_no_sense_is_refused_in_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        checked(find_flow("grpo").config, {"grpo": settings})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"micro_batch_size": 7}, "grpo.micro_batch_size"),
        ({"questions": 4}, "grpo.questions_per_step"),
        ({"steps": 5, "iterations": 2}, "grpo.iterations"),
        ({"steps": 6, "iterations": 3}, "grpo.save_every"),
        ({"ratios": [0.5, 0.5]}, "grpo.ratios"),
        ({"rollout": {"samples": 1}}, "grpo.rollout.samples"),
    ],
)
def test_reinforcement_that_does_not_come_out_even_is_refused(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        find_flow("grpo").config.model_validate({"grpo": settings})
    assert field in str(caught.value)


@pytest.mark.parametrize("flow", ["direct", "concise"])
@pytest.mark.parametrize(
    ("evaluate", "field"), [({"ratios": [1.0, 0.5]}, "ratios"), ({"baselines": ["truncate"]}, "baselines")]
)
def test_conditions_that_need_a_ratio_are_refused(flow: str, evaluate: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=rf"evaluate\.{field}"):
        find_flow(flow).config.model_validate({"evaluate": evaluate})
