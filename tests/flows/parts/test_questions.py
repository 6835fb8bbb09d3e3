"""More questions than a benchmark has are refused before anything is computed, naming the parameter.

Of a user's own file more than it holds means all of it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.utilities.templating import apply_values

from flows.cli.evaluation import contamination_line
from flows.launch.parameter_files import read_parameter_files
from flows.launch.plan import log_warnings, plan
from flows.launch.registry import find_flow
from flows.launch.short_form import settled
from latent_core.errors import InputError

ROOT = Path(__file__).parents[3]
TRAIN, TEST = 4, 3


@pytest.fixture
def benchmark(tmp_path: Path) -> dict[str, str]:
    """GSM8K with TRAIN and TEST questions."""
    paths = {}
    for split, count in (("train", TRAIN), ("test", TEST)):
        file = tmp_path / f"{split}.jsonl"
        rows = [{"question": f"{split} {number} + 1?", "answer": f"#### {number + 1}"} for number in range(count)]
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        paths[f"{split}_path"] = str(file)
    return {"name": "gsm8k", **paths}


@pytest.mark.parametrize(
    ("flow", "settings", "parameter"),
    [
        ("tokenskip-math", {"collect": {"questions": TRAIN + 1}}, "collect.questions"),
        ("tokenskip-math", {"warm_start": {"questions": TRAIN + 1}}, "warm_start.questions"),
        ("tokenskip-math", {"evaluate": {"questions": TEST + 1}}, "evaluate.questions"),
        ("concise", {"collect": {"questions": TRAIN + 1}}, "collect.questions"),
        ("concise", {"evaluate": {"questions": TEST + 1}}, "evaluate.questions"),
        ("direct", {"prepare": {"questions": TRAIN + 1}}, "prepare.questions"),
        ("direct", {"evaluate": {"questions": TEST + 1}}, "evaluate.questions"),
        ("label-kinds", {"labels": {"questions": TRAIN, "held_out": 1}}, "labels.questions"),
        ("label-kinds", {"evaluate": {"questions": TEST + 1}}, "evaluate.questions"),
        ("grpo", {"grpo": {"questions": TRAIN + 1, "questions_per_step": 1}}, "grpo.questions"),
        ("grpo", {"evaluate": {"questions": TEST + 1}}, "evaluate.questions"),
        ("reevaluate", {"evaluate": {"questions": TEST + 1}}, "evaluate.questions"),
    ],
)
def test_flow_refuses_more_questions_than_there_are(
    tmp_path: Path, benchmark: dict[str, str], flow: str, settings: dict[str, Any], parameter: str
) -> None:
    entry = find_flow(flow)
    enough: dict[str, dict[str, Any]] = {"evaluate": {"questions": TEST}}
    if flow in ("tokenskip-math", "concise", "label-kinds"):
        enough["collect"] = {"questions": TRAIN}
    if flow == "direct":
        enough["prepare"] = {"questions": TRAIN}
    if flow == "grpo":
        enough["grpo"] = {"questions": TRAIN, "questions_per_step": 1}
    if flow == "label-kinds":
        enough["labels"] = {"questions": TRAIN - 1, "held_out": 1}
    common = {"benchmark": benchmark, "store": str(tmp_path / "store")}
    plan(entry, entry.config.model_validate(common | enough))
    with pytest.raises(InputError, match=rf"^{parameter}.*\d are needed; set it to [34] or less"):
        plan(entry, entry.config.model_validate(common | enough | settings))


@pytest.mark.parametrize(
    ("flow", "section", "split"),
    [
        ("reevaluate", "evaluate", "test"),
        ("tokenskip-math", "evaluate", "test"),
        ("tokenskip-math", "collect", "train"),
        ("tokenskip-math", "warm_start", "train"),
        ("concise", "collect", "train"),
        ("direct", "prepare", "train"),
    ],
)
def test_more_questions_than_ones_own_file_holds_are_all_of_them(
    tmp_path: Path, benchmark: dict[str, str], caplog: pytest.LogCaptureFixture, flow: str, section: str, split: str
) -> None:
    count = TEST if split == "test" else TRAIN
    entry = find_flow(flow)
    wanted: dict[str, Any] = {"benchmark": {**benchmark, "name": "file"}, "store": str(tmp_path / "store")}
    wanted["evaluate"] = {"questions": TEST}
    if flow != "reevaluate":
        wanted["prepare" if flow == "direct" else "collect"] = {"questions": TRAIN}
    exact, _ = plan(entry, entry.config.model_validate(wanted | {section: {"questions": count}}))
    more, _ = plan(entry, entry.config.model_validate(wanted | {section: {"questions": count + 1000}}))
    assert more.lines == exact.lines
    for planned in (exact, more):
        log_warnings(planned)
    assert [message for message in caplog.messages if ".questions: " in message] == [
        f"{section}.questions: {count + 1000} are more than the {split} file holds, {count}: all of them are used"
    ]


def test_contamination_of_ones_own_file_is_looked_for_in_all_of_it(benchmark: dict[str, str]) -> None:
    asked = {"benchmark": {**benchmark, "name": "file"}, "evaluate": {"questions": TEST + 1000}}
    line = contamination_line(find_flow("reevaluate").config.model_validate(asked))
    assert line.startswith(f"contamination: of {TEST} test questions") and f"({TRAIN} read)" in line


def test_no_deployment_asks_for_more_questions_than_its_benchmark_has() -> None:
    sizes = {"gsm8k": (7473, 1319), "math": (7500, 500)}  # the smallest of what is published under the name
    files = {"files": read_parameter_files(str(ROOT / "deployments"))}
    checked = 0
    for deployment in apply_values(yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"], files):
        name, parameters = deployment["entrypoint"].partition(":")[2].replace("_", "-"), deployment["parameters"]
        entry = find_flow(name.removesuffix("-short"))
        is_whole = "cfg" in parameters
        config = entry.config.model_validate(parameters["cfg"]) if is_whole else settled(entry, **parameters)
        benchmark = getattr(config, "benchmark", None)
        if benchmark is None or benchmark.name not in sizes:
            continue
        train, test = sizes[benchmark.name]
        assert config.collect.questions <= train and config.evaluate.questions <= test, deployment["name"]
        checked += 1
    assert checked
