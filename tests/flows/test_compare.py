"""Which stages a comparison of arms asks for, and which parameters it refuses. Plans only."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from flows.compare import compose
from flows.launch.parameters import checked
from flows.parts.arms import compressor_arms as compressing
from flows.parts.arms import compressor_names, families
from flows.parts.arms import latent_arms as varying
from flows.tokenskip_math import compose as compose_main_job
from latent_core.config.compare import CompareConfig
from latent_core.config.tokenskip import TokenSkipConfig
from latent_core.errors import InputError
from tasks.run.plan import open_plan

FILE = Path(__file__).parents[2] / "deployments" / "compare.yaml"
SMALL: dict[str, Any] = {
    "collect": {"questions": 4},
    "seeds": [1, 2],
    "ratios": [0.5],
    "compress": {"scoring": {"spans": True}},
    "tracking": {"enabled": False},
}


def _plan(root: Path, **settings: Any) -> dict[str, str]:
    """Fingerprints by title."""
    run = open_plan("compare", config := CompareConfig.model_validate(SMALL | {"store": str(root)} | settings))
    compose(config, run)
    return {line.title: line.ref.fingerprint for line in run.lines}


def _of(stage: str, plan: dict[str, str]) -> list[str]:
    """The labels of a stage's calls."""
    return [title.removeprefix(f"{stage} ") for title in plan if title.startswith(f"{stage} ")]


def test_every_arm_is_trained_and_evaluated_once_a_seed_from_one_collection(tmp_path: Path) -> None:
    plan = _plan(tmp_path, latent_arms=["dual"], compressors=["latent-compressor", "random"])
    arms = ["dual", "latent-compressor word", "latent-compressor span", "random word", "random span"]
    assert _of("train", plan) == [f"{arm}-seed{seed}" for arm in arms for seed in (1, 2)]
    assert [len(_of(stage, plan)) for stage in ("collect_shard", "score_words_shard", "compress_shard")] == [1, 2, 4]
    assert _of("measure_compressions", plan) == ["dual", *arms[2:]]  # the latent arm's texts are the first compressor's
    trained = [title for title in _of("evaluate", plan) if not title.startswith("base")]
    assert trained == [f"{arm}-seed{seed} {ratio}" for arm in arms for seed in (1, 2) for ratio in ("1", "0.5")]
    assert "compare_arms" in plan and "contamination" in plan


def test_interventions_are_made_on_latent_arms_alone(tmp_path: Path) -> None:
    evaluate = {"interventions": ["empty", "swap"]}
    plan = _plan(tmp_path, latent_arms=["standard", "dual"], evaluate=evaluate)
    found = _of("intervene", plan)
    assert len(found) == 2 * 2 * 2 * 2
    assert {title.partition("-seed")[0] for title in found} == {"standard", "dual"}


def test_rules_of_compression_hold_for_latent_arms_and_for_compressors_only_if_told(tmp_path: Path) -> None:
    rules = {"compress": {"keep_numbers": True, "scoring": {"spans": True}}, "units": ["word"]}
    same = _plan(tmp_path, **rules, latent_arms=["standard"], compressors=["latent-compressor"], keep_rules=True)
    own = _plan(tmp_path, **rules, latent_arms=["standard"], compressors=["latent-compressor"])
    assert _of("train", same) == ["standard-seed1", "standard-seed2"]
    assert _of("train", own) == [*_of("train", same), "latent-compressor word-seed1", "latent-compressor word-seed2"]
    assert own["train standard-seed1"] == same["train standard-seed1"]


def test_standard_arm_is_the_first_compressors_and_both_are_the_main_jobs(tmp_path: Path) -> None:
    plan = _plan(tmp_path, latent_arms=["standard", "dual"], compressors=["latent-compressor"], units=["word"])
    assert _of("train", plan) == [f"{arm}-seed{seed}" for arm in ("standard", "dual") for seed in (1, 2)]
    shared = {key: SMALL[key] for key in ("collect", "seeds", "ratios", "compress", "tracking")}
    same = {"benchmark": {"difficulties": [1, 2, 3, 4]}, "store": str(tmp_path)}
    run = open_plan("tokenskip-math", config := TokenSkipConfig.model_validate(shared | same))
    compose_main_job(config, run)
    main = {line.title: line.ref.fingerprint for line in run.lines}
    for title in ("train standard-seed1", "train dual-seed2", "evaluate dual-seed2 0.5", "evaluate base"):
        assert plan[title] == main[title]


def test_result_of_an_arm_does_not_depend_on_the_other_arms(tmp_path: Path) -> None:
    few = _plan(tmp_path, latent_arms=["standard"], compressors=["latent-compressor"])
    many = _plan(tmp_path, latent_arms=["standard", "dual", "random_drop"], seeds=[1, 2, 3])
    title = "evaluate standard-seed2 0.5"
    assert few[title] == many[title] and few["compare_arms"] != many["compare_arms"]


def test_random_drop_is_listed_with_the_texts_that_it_is_trained_on(tmp_path: Path) -> None:
    plan = _plan(tmp_path, latent_arms=["standard", "random_drop"], compressors=["latent-compressor"], units=["word"])
    assert _of("measure_compressions", plan) == ["standard", "random_drop"]
    cfg = CompareConfig.model_validate(SMALL | {"latent_arms": ["standard", "random_drop"]})
    standard, dropped = varying(cfg)
    assert (standard.compress.model, dropped.compress.model) == ("latent-compressor", "random")
    shared = {key: SMALL[key] for key in ("collect", "seeds", "ratios", "compress", "tracking")}
    same = {"benchmark": {"difficulties": [1, 2, 3, 4]}, "store": str(tmp_path), "variants": ["random_drop"]}
    run = open_plan("tokenskip-math", config := TokenSkipConfig.model_validate(shared | same))
    compose_main_job(config, run)
    main = {line.title: line.ref.fingerprint for line in run.lines}
    assert plan["train random_drop-seed1"] == main["train random_drop-seed1"]


def test_one_question_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"evaluate\.questions: intervals are over questions"):
        _plan(tmp_path, evaluate={"questions": 1})


def test_comparison_alone_changes_with_margin_and_resamples(tmp_path: Path) -> None:
    before, after = _plan(tmp_path), _plan(tmp_path, margin=0.05, resamples=2000)
    assert {title for title in before if before[title] != after[title]} == {"compare_arms"}


def test_compressors_called_alike_keep_their_whole_name() -> None:
    specs = ["random", "lm_surprisal:latent-mini", "owner/encoder", "models/own/", "cts:a", "cts:b"]
    assert list(compressor_names(specs).values()) == ["random", "lm_surprisal", "encoder", "own", "cts:a", "cts:b"]


def test_families_pair_arms_with_their_controls_once() -> None:
    cfg = CompareConfig.model_validate(SMALL | {"latent_arms": ["standard", "standard_rows", "dual"]})
    latent, compressors = families(varying(cfg), compressing(cfg))
    assert set(latent.pairs) == {("dual", "standard"), ("dual", "standard_rows"), ("standard_rows", "standard")}
    scored = {(f"{name} {unit}", f"random {unit}") for name in ("latent-compressor", "truncate") for unit in cfg.units}
    units = {(f"{name} span", f"{name} word") for name in ("latent-compressor", "random", "truncate")}
    assert set(compressors.pairs) == scored | units and len(compressors.pairs) == 7
    alone = CompareConfig.model_validate(SMALL | {"latent_arms": ["dual"], "compressors": ["truncate"]})
    assert families(varying(alone), compressing(alone))[0].pairs == (("truncate span", "truncate word"),)


def test_plan_of_the_whole_deployment_is_quick_and_has_every_arm(tmp_path: Path) -> None:
    config = checked(CompareConfig, yaml.safe_load(FILE.read_text()) | {"store": str(tmp_path)})
    started = time.process_time()
    compose(config, run := open_plan("compare", config))
    assert time.process_time() - started < 5
    arms = len(config.latent_arms) + len(config.compressors) * len(config.units)
    assert len([line for line in run.lines if line.title.startswith("train ")]) == arms * len(config.seeds)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latent_arms": ["standard", "dul"]}, r"latent_arms\.1: .*'standard'"),
        ({"latent_arms": ["dual", "dual"]}, "latent_arms: one appears twice in"),
        ({"compressors": ["random", "random"]}, "compressors: one appears twice in"),
        ({"compressors": []}, "compressors: must not be empty"),
        ({"seeds": [1]}, "seeds: .*too few"),
        ({"seeds": [1, 1]}, "seeds: .*different whole numbers"),
        ({"compress": {"model": "random"}}, "compress.model: this flow compresses with every one of `compressors`"),
        (
            {"compress": {"unit": "span", "scoring": {"spans": True}}},
            "compress.unit: this flow compresses by every one of `units`",
        ),
        ({"units": ["word", "sentence"]}, r"units\.1: .*'word'"),
        ({"units": ["span", "span"]}, "units: one appears twice in"),
        ({"compress": {"scoring": {"spans": False}}}, "units: span works on spans of the source text"),
        (
            {"compress": {"scoring": {"spans": True, "force_tokens": ["Step"]}}},
            r"units: span never forces words one by one; leave compress\.scoring\.force_tokens out",
        ),
        ({"prepare": {"ratios": [0.2]}}, r"prepare\.ratios: \[0\.2\] are not in compress\.ratios"),
        ({"evaluate": {"ratios": [0.5]}}, r"evaluate\.ratios: \[0\.5\] need 1"),
        ({"evaluate": {"base": False}}, r"evaluate\.base: scores are relative to the untrained model"),
        ({"margin": 0}, "margin: "),
    ],
)
def test_parameters_without_a_meaning_are_refused_in_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        checked(CompareConfig, SMALL | settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("spec", ["no-such-model", "lm_surprisal", "random:x"])
def test_unknown_compressor_is_refused_before_anything_is_computed(tmp_path: Path, spec: str) -> None:
    with pytest.raises((InputError, ValidationError), match="compress"):
        _plan(tmp_path, compressors=["latent-compressor", spec])
