"""The form of the ratio in whole flows: which stages it adds, and what is refused before anything is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flows.launch.plan import plan
from flows.launch.registry import find_flow
from latent_core.config.ratio_form import RatioForm, RatioTokensConfig
from latent_core.errors import InputError
from latent_core.evaluation.condition import Condition, Kind, condition_of
from latent_core.models.ratio_token_build import add_ratio_tokens
from latent_core.models.source import open_model
from tasks.evaluate import EvaluateCondition
from tasks.run.plan import Plan

SMALL: dict[str, Any] = {"collect": {"questions": 4}, "ratios": [0.5], "variants": ["standard", "dual"]}
ECHO: dict[str, Any] = {"ratio_form": "echo", "prepare": {"auto_share": 0.25}, "evaluate": {"auto_ratio": True}}


def _planned(root: Path, flow: str = "tokenskip-math", **fields: Any) -> Plan:
    places = {"store": str(root / "store"), "tracking": {"enabled": False}}
    entry = find_flow(flow)
    return plan(entry, entry.config.model_validate({**places, **fields}))[0]


def _titles(planned: Plan) -> dict[str, Any]:
    return {line.title: line.ref for line in planned.lines}


@pytest.fixture(scope="module")
def echoing(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that names its ratio: 1 or 0.5."""
    directory = tmp_path_factory.mktemp("models") / "echoing"
    config = RatioTokensConfig(form=RatioForm.ECHO, ratios=(0.5,))
    add_ratio_tokens(open_model("latent-mini").directory, directory, config)
    return str(directory)


def test_suffix_is_the_default_and_adds_no_stage(tmp_path: Path) -> None:
    plain, said = (_titles(_planned(tmp_path, **SMALL, **more)) for more in ({}, {"ratio_form": "suffix"}))
    assert plain == said and "build_ratio_tokens" not in plain


@pytest.mark.parametrize("form", ["token", "echo"])
def test_tokens_are_added_once_and_change_what_is_trained_and_nothing_before(form: str, tmp_path: Path) -> None:
    suffix, told = _titles(_planned(tmp_path, **SMALL)), _titles(_planned(tmp_path, **SMALL, ratio_form=form))
    assert told.keys() - suffix.keys() == {"build_ratio_tokens"}
    shared = {title for title, ref in suffix.items() if told[title] == ref}
    assert {"collect", "compress", "evaluate base"} <= shared
    after = ("build_dual", "prepare", "train", "evaluate standard", "evaluate dual", "report")
    assert {title for title in suffix if title.startswith(after)} == suffix.keys() - shared


def test_model_that_names_its_ratio_is_also_left_to_choose_it(tmp_path: Path) -> None:
    planned = _planned(tmp_path, **(SMALL | ECHO))
    chosen = {"evaluate standard auto ratio", "evaluate dual auto ratio"}
    assert chosen <= _titles(planned).keys()
    assert condition_of("evaluation/dual/auto ratio") == Condition("dual", Kind.AUTO)
    given = _titles(_planned(tmp_path, **(SMALL | ECHO | {"evaluate": {}})))
    assert _titles(planned).keys() - given.keys() == chosen  # the others are what they were
    assert all(_titles(planned)[title] == ref for title, ref in given.items() if title != "report")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ratio_form": "morse"}, "ratio_form"),
        ({"evaluate": {"auto_ratio": True}}, "evaluate.auto_ratio: needs a model that names its ratio; set ratio_form"),
        ({"ratio_form": "token", "evaluate": {"auto_ratio": True}}, "evaluate.auto_ratio: needs a model that names"),
        ({"prepare": {"auto_share": 0.5}}, "prepare.auto_share: needs a model that names its ratio; set ratio_form"),
        ({"ratio_form": "echo", "evaluate": {"auto_ratio": True}}, "evaluate.auto_ratio: no example asks for auto"),
        (
            {"ratio_form": "token", "prepare": {"ratio_label": "achieved"}},
            "prepare.ratio_label: achieved names a ratio",
        ),
        (
            {"ratio_form": "token", "evaluate": {"ratios": [1.0, 0.4]}},
            "evaluate.ratios: 0.4 has no token .there are 1, 0.5, from prepare.ratios",
        ),
        (
            {"ratio_form": "echo", "prepare": {"ratio_label": "bucket", "buckets": [0.2, 0.6]}},
            "evaluate.ratios: 0.5 has no token .there are 1, 0.6, 0.2, from prepare.buckets",
        ),
        ({"ratio_form": "echo", "train": {"loss_on": "latent_only"}}, "train.loss_on: latent_only has no loss on"),
    ],
)
def test_settings_that_do_not_go_with_the_form_name_the_field_and_the_way_out(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        find_flow("tokenskip-math").config.model_validate(SMALL | fields)


def test_model_with_tokens_is_not_trained_in_another_form(echoing: str, tmp_path: Path) -> None:
    fields = SMALL | {"model": echoing, "variants": ["standard"]}
    with pytest.raises(InputError, match=f"ratio_form: is suffix, but {echoing} was made for echo; set that"):
        _planned(tmp_path, **fields)
    with pytest.raises(InputError, match=r"prepare.ratios: 0.3 has no token in this model; it has 1, 0.5"):
        _planned(tmp_path, **(fields | {"ratio_form": "echo", "ratios": [0.3]}))
    assert "build_ratio_tokens" not in _titles(_planned(tmp_path, **(fields | {"ratio_form": "echo"})))


@pytest.mark.parametrize("flow", ["reevaluate", "grpo"])
def test_ratio_without_a_token_and_auto_without_echo_are_refused_before_anything_runs(
    flow: str, echoing: str, tmp_path: Path
) -> None:
    def asked(model: str, **evaluate: Any) -> dict[str, Any]:
        return _titles(_planned(tmp_path, flow, model=model, benchmark={}, evaluate={"questions": 5, **evaluate}))

    with pytest.raises(InputError, match=r"evaluate.ratios: 0.4 has no token in this model; it has 1, 0.5"):
        asked(echoing, ratios=[1.0, 0.4])
    with pytest.raises(InputError, match=r"evaluate.auto_ratio: needs a model that names its ratio"):
        asked("latent-mini", ratios=[1.0], auto_ratio=True)
    titles = asked(echoing, ratios=[1.0, 0.5], auto_ratio=True)
    expected = {
        "reevaluate": {"evaluate model auto ratio"},
        "grpo": {f"evaluate policy auto {w}" for w in ("start", "grpo")},
    }
    assert expected[flow] <= titles.keys() and not expected[flow] & asked(echoing, ratios=[1.0, 0.5]).keys()


def test_reinforcement_at_a_ratio_without_a_token_is_refused(echoing: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"grpo.ratios: 0.3 has no token in this model; it has 1, 0.5"):
        _planned(tmp_path, "grpo", model=echoing, grpo={"ratios": [0.5, 0.3]}, evaluate={"ratios": [0.5]})


def test_ratio_of_a_condition_is_a_number_or_auto() -> None:
    settings: dict[str, Any] = {"sampling": {}, "questions": 5}
    for ratio in (0, 1.5, "half", None):
        with pytest.raises(ValidationError, match="ratio"):
            EvaluateCondition(**settings, ratio=ratio)
    assert EvaluateCondition(**settings, ratio="auto").identity()["ratio"] == "auto"
    assert EvaluateCondition(**settings, ratio=1).identity()["ratio"] == 1.0
