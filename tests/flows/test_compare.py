"""Which stages a comparison of arms asks for, and which parameters it refuses. Plans only."""

from __future__ import annotations

import shutil
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
from latent_core.config.ratio_form import RatioForm
from latent_core.config.tokenskip import TokenSkipConfig
from latent_core.errors import InputError
from latent_core.models.source import open_model, short_name
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
    assert len(found) == 2 * 2 * 2 * 3
    assert {title.partition("-seed")[0] for title in found} == {"standard", "dual"}


def test_every_intervention_is_made_beside_the_models_own_reasoning_at_the_ratios_asked_for(tmp_path: Path) -> None:
    settings = {"latent_arms": ["dual"], "ratios": [0.5, 0.3]}
    evaluate = {"interventions": ["swap"], "intervention_ratios": [0.3]}
    found = _of("intervene", _plan(tmp_path, **settings, evaluate=evaluate))
    assert found == [f"dual-seed{seed} {name} reasoning 0.3" for seed in (1, 2) for name in ("own", "swapped")]
    asked = {"interventions": ["swap", "own"], "intervention_ratios": [0.3]}
    assert _of("intervene", _plan(tmp_path, **settings, evaluate=asked)) == found
    assert not _of("intervene", _plan(tmp_path, **settings))


def test_compressors_can_be_trained_in_fewer_steps_and_asked_for_fewer_ratios(tmp_path: Path) -> None:
    settings = {"latent_arms": ["standard"], "ratios": [0.5, 0.3], "train": {"steps": 50}}
    arms = {"compressors": ["latent-compressor"], "units": ["word"]}
    same = _plan(tmp_path, **settings, **arms)
    fewer = _plan(tmp_path, **settings, **arms, compressor_steps=20, compressor_ratios=[1.0, 0.3])
    assert _of("train", same) == ["standard-seed1", "standard-seed2"]
    assert _of("train", fewer)[2:] == ["latent-compressor word-seed1", "latent-compressor word-seed2"]
    assert fewer["train standard-seed1"] == same["train standard-seed1"] != fewer["train latent-compressor word-seed1"]
    evaluated = [title for title in _of("evaluate", fewer) if title.startswith("latent-compressor word-seed1")]
    assert evaluated == ["latent-compressor word-seed1 1", "latent-compressor word-seed1 0.3"]


def test_title_names_a_model_by_its_directory_and_not_by_its_path(tmp_path: Path) -> None:
    directory = tmp_path / "home" / "tiny"
    shutil.copytree(open_model("latent-mini").directory, directory)
    settings = {"latent_arms": ["standard"], "compressors": ["random"], "units": ["word"]}
    config = CompareConfig.model_validate(
        SMALL | settings | {"store": str(tmp_path / "store"), "model": str(directory)}
    )
    run = open_plan("compare", config)
    titles: list[str] = []
    plan_stage = run.stage

    def kept(stage: Any, config: Any, *args: Any, **named: Any) -> Any:
        titles.append(getattr(config, "title", ""))
        return plan_stage(stage, config, *args, **named)

    run.stage = kept  # type: ignore[method-assign]
    compose(config, run)
    assert titles[-1] == "Arms over 2 seeds on word_problems with tiny"
    assert short_name("owner/name@main") == "owner/name@main" and short_name("latent-mini") == "latent-mini"


def test_rules_of_compression_hold_for_latent_arms_and_for_compressors_only_if_told(tmp_path: Path) -> None:
    rules = {"compress": {"keep_numbers": True, "scoring": {"spans": True}}, "units": ["word"]}
    same = _plan(tmp_path, **rules, latent_arms=["standard"], compressors=["latent-compressor"], keep_rules=True)
    own = _plan(tmp_path, **rules, latent_arms=["standard"], compressors=["latent-compressor"])
    assert _of("train", same) == ["standard-seed1", "standard-seed2"]
    assert _of("train", own) == [*_of("train", same), "latent-compressor word-seed1", "latent-compressor word-seed2"]
    assert own["train standard-seed1"] == same["train standard-seed1"]


@pytest.mark.parametrize("form", RatioForm)
def test_standard_arm_is_the_first_compressors_and_both_are_the_main_jobs(tmp_path: Path, form: RatioForm) -> None:
    arms = {"latent_arms": ["standard", "dual"], "compressors": ["latent-compressor"], "units": ["word"]}
    plan = _plan(tmp_path, **arms, ratio_form=form)
    assert _of("train", plan) == [f"{arm}-seed{seed}" for arm in ("standard", "dual") for seed in (1, 2)]
    shared = {key: SMALL[key] for key in ("collect", "seeds", "ratios", "compress", "tracking")}
    same = {"benchmark": {"difficulties": [1, 2, 3, 4]}, "store": str(tmp_path), "ratio_form": form}
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


def test_families_pair_the_dual_arm_with_every_control_and_compressors_with_the_reference_once() -> None:
    cfg = CompareConfig.model_validate(SMALL | {"compressors": ["random", "latent-compressor", "truncate"]})
    dual, others, compressors = families(varying(cfg), compressing(cfg))
    controls = ("standard", "standard_rows", "dual_frozen", "dual_permuted", "dual_phase")
    assert dual.pairs == tuple(("dual", control) for control in controls)
    assert all(control in dual.question for control in controls)
    assert others.pairs == tuple((control, "standard") for control in controls[1:])
    names = ("random", "latent-compressor", "truncate")
    reference = "latent-compressor word"
    against = {(f"{name} {unit}", reference) for name in names for unit in ("word", "span")} - {(reference, reference)}
    units = {(f"{name} span", f"{name} word") for name in names}
    assert set(compressors.pairs) == against | units and len(compressors.pairs) == 7
    assert reference in compressors.question


def test_families_leave_out_what_has_no_pair() -> None:
    alone = CompareConfig.model_validate(SMALL | {"latent_arms": ["dual"], "compressors": ["truncate"]})
    (family,) = families(varying(alone), compressing(alone))
    assert family.pairs == (("truncate span", "truncate word"),)
    rows = CompareConfig.model_validate(SMALL | {"latent_arms": ["dual", "standard_rows"]})
    assert families(varying(rows), compressing(rows))[0].pairs == (("dual", "standard_rows"),)


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
        (
            {"ratio_form": "echo", "prepare": {"auto_share": 0.5}, "evaluate": {"auto_ratio": True}},
            r"evaluate\.auto_ratio: arms are compared at ratios that are asked for",
        ),
        ({"prepare": {"auto_share": 0.5}}, r"prepare\.auto_share: needs a model that names its ratio; set ratio_form"),
        ({"margin": 0}, "margin: "),
        ({"compressor_ratios": [1.0, 0.2]}, r"compressor_ratios: \[0\.2\] are not in evaluate\.ratios"),
        ({"compressor_ratios": [0.5]}, r"compressor_ratios: \[0\.5\] need 1"),
        ({"compressor_ratios": [1.0, 1.0]}, r"compressor_ratios: .*a ratio appears twice"),
        ({"compressor_steps": 0}, "compressor_steps: "),
        (
            {"evaluate": {"intervention_ratios": [0.5]}},
            r"evaluate\.intervention_ratios: no interventions are asked for",
        ),
        (
            {"evaluate": {"interventions": ["swap"], "intervention_ratios": [0.2]}},
            r"evaluate\.intervention_ratios: \[0\.2\] are not in evaluate\.ratios",
        ),
        (
            {"evaluate": {"interventions": ["swap"], "intervention_ratios": [0.5, 0.5]}},
            r"evaluate\.intervention_ratios: .*a ratio appears twice",
        ),
    ],
)
def test_comparison_parameters_without_a_meaning_are_refused_in_one_line(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        checked(CompareConfig, SMALL | settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("spec", ["no-such-model", "lm_surprisal", "random:x"])
def test_unknown_compressor_is_refused_before_anything_is_computed(tmp_path: Path, spec: str) -> None:
    with pytest.raises((InputError, ValidationError), match="compress"):
        _plan(tmp_path, compressors=["latent-compressor", spec])
