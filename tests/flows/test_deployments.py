"""prefect.yaml and deployments/: each deployment names a parameter file, and every parameter file is valid."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.utilities.templating import apply_values

from flows.launch.parameter_files import read_parameter_files
from flows.launch.parameters import checked, load
from flows.launch.registry import find_flow
from latent_core.config.base import StageConfig
from latent_core.errors import InputError

ROOT = Path(__file__).parents[2]
FILES = {"files": read_parameter_files(str(ROOT / "deployments"))}
DEPLOYMENTS: list[dict[str, Any]] = apply_values(
    yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"], FILES
)
LOST, RESCHEDULE = yaml.safe_load((ROOT / "deployments" / "automations" / "lost-runs.yaml").read_text())["automations"]


def _config(deployment: dict[str, Any]) -> StageConfig:
    """A deployment's parameters, as its flow gets them."""
    path, _, function = deployment["entrypoint"].partition(":")
    flow = getattr(import_module(path.removesuffix(".py").replace("/", ".")), function)
    return checked(find_flow(flow.name).config, deployment["parameters"]["cfg"])


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=[item["name"] for item in DEPLOYMENTS])
def test_deployment_names_a_flow_and_a_file_of_valid_parameters(deployment: dict[str, Any]) -> None:
    assert _config(deployment)


def test_prefect_file_repeats_no_parameters() -> None:
    written = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert all(re.fullmatch(r"{{ files\.[\w-]+ }}", item["parameters"]["cfg"]) for item in written)


def test_file_of_bad_parameters_stops_the_deploy_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("model: [")
    with pytest.raises(InputError, match=r"bad\.yaml is not YAML"):
        read_parameter_files(str(tmp_path))


@pytest.mark.parametrize(("set_to", "found"), [(None, "1"), ("0", "0")])
def test_hub_is_asked_only_where_the_environment_of_a_worker_says_so(set_to: str | None, found: str) -> None:
    assert all("HF_HUB_OFFLINE" not in item["work_pool"]["job_variables"]["env"] for item in DEPLOYMENTS)
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    environment |= {} if set_to is None else {"HF_HUB_OFFLINE": set_to}
    command = [sys.executable, "-c", "import flows, os; print(os.environ['HF_HUB_OFFLINE'])"]
    assert subprocess.check_output(command, env=environment, cwd=ROOT, text=True).strip() == found


def test_reevaluation_is_scheduled() -> None:
    nightly = next(item for item in DEPLOYMENTS if item["name"] == "reevaluate")
    assert nightly["schedules"][0]["cron"]


@pytest.mark.parametrize("file", sorted((ROOT / "deployments").glob("*.yaml")), ids=lambda file: file.name)
def test_parameter_file_is_valid(file: Path) -> None:
    own = ("compare", "compressor", "direct", "concise", "label-kinds", "grpo", "length", "reevaluate")
    others = {"sketch-of-thought": "concise", "concise-gsm8k": "concise", "direct-constant": "direct"}
    others |= dict.fromkeys(("rl-bandit", "rl-frozen-lake", "rl-countdown", "rl-sokoban"), "rl")
    others |= {"grpo-length": "grpo"}
    flow = file.stem if file.stem in own else others.get(file.stem, "tokenskip-math")
    find_flow(flow).config.model_validate(yaml.safe_load(file.read_text()))


def test_automations_are_valid_and_heartbeats_come_often_enough_for_them() -> None:
    from prefect.events.schemas.automations import AutomationCore

    lost, _ = AutomationCore.model_validate(LOST), AutomationCore.model_validate(RESCHEDULE)
    beats = {
        int(item["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]) for item in DEPLOYMENTS
    }
    assert lost.trigger.within.total_seconds() >= 3 * max(beats)


def test_only_runs_that_were_declared_lost_are_rescheduled() -> None:
    (declared,) = (action["message"] for action in LOST["actions"])
    wanted = RESCHEDULE["trigger"]["match"]["prefect.state-message"]
    assert wanted.endswith("*") and declared.startswith(wanted[:-1]) and len(wanted) > 2


def _registered_name(parameters: dict[str, Any]) -> str | None:
    return parameters.get("tracking", {}).get("register_as")


def test_run_on_the_embedded_model_never_registers_under_the_name_that_is_reevaluated() -> None:
    nightly = next(item for item in DEPLOYMENTS if item["name"] == "reevaluate")["parameters"]["cfg"]["model"]
    followed = nightly.removeprefix("models:/").partition("@")[0]
    runs = [item["parameters"]["cfg"] for item in DEPLOYMENTS]
    runs += [yaml.safe_load(file.read_text()) for file in (ROOT / "deployments").glob("*.yaml")]
    toys = [run for run in runs if run.get("model") in ("latent-mini", "smollm2")]
    assert len(toys) >= 6 and followed not in map(_registered_name, toys)
    assert followed in map(_registered_name, runs)


@pytest.mark.parametrize("flow", ["tokenskip-math", "direct", "concise", "grpo", "rl"])
def test_run_registers_no_model_unless_its_parameters_say_under_which_name(flow: str) -> None:
    assert find_flow(flow).config().tracking.register_as is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("flow", ["reevaluate", "mini", "compressor", "label-kinds", "compare", "length"])
def test_flow_that_registers_nothing_refuses_a_name(flow: str) -> None:
    with pytest.raises(InputError, match=r"^tracking\.register_as: unknown key"):
        load(find_flow(flow).config, None, ["tracking.register_as=x"])


@pytest.mark.parametrize("name", ["", "a/b", "it's", "models:/x@champion", "two words"])
def test_name_that_the_registry_could_not_find_again_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"^tracking\.register_as: is a name of letters"):
        checked(find_flow("direct").config, {"tracking": {"register_as": name}})
