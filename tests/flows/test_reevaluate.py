"""Re-evaluation: a model that got worse beyond noise fails the run, and stays failed until it is mended or accepted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.reevaluate import check_for_regression
from latent_core.config.reevaluate import ReevaluateConfig
from latent_core.errors import RegressionFound
from latent_core.generate.completions import sample_schema
from latent_core.identity import fingerprint
from latent_core.store import Artifact
from tasks.collect import SAMPLES
from tasks.report import EVALUATIONS, evaluation_role
from tasks.run import open_run

QUESTIONS = 60


def _config(root: Path, **fields: object) -> ReevaluateConfig:
    places = {"store": str(root / "store"), "tracking": {"uri": f"sqlite:///{root}/mlflow.db"}}
    return ReevaluateConfig.model_validate({"model": "latent-mini", **places, **fields})


def _report(config: ReevaluateConfig, correct: dict[float, int]) -> Artifact:
    """A report over evaluations in which the first `correct[ratio]` questions were answered correctly."""
    refs = {}
    with open_run("reevaluate", config, planning=True) as run:
        store = run.store
    for ratio, right in correct.items():
        identity = fingerprint("evaluate", 1, {"ratio": ratio, "right": right}, {})
        if store.get("evaluate", identity) is None:
            with store.begin("evaluate", identity) as out:
                with out.table(SAMPLES, sample_schema()) as table:
                    for number in range(QUESTIONS):
                        row = dict.fromkeys(sample_schema().names) | {
                            "question_id": f"q{number}", "sample_index": 0, "tokens": 10, "reasoning_tokens": 5,
                            "latent_tokens": 0, "verdict": "correct" if number < right else "wrong",
                        }  # fmt: skip
                        table.add(row)
                out.commit(config={"ratio": ratio, "right": right})
        refs[evaluation_role("model", f"ratio {ratio:g}")] = ["evaluate", identity]
    identity = fingerprint("report", 1, refs, {})
    if store.get("report", identity) is None:
        with store.begin("report", identity) as out:
            with out.open(EVALUATIONS) as listing:
                listing.write(json.dumps(refs).encode())
            out.commit(config=refs)
    return store.require(store.find(f"report/{identity}"))


def _night(config: ReevaluateConfig, correct: dict[float, int]) -> None:
    report = _report(config, correct)
    with open_run("reevaluate", config) as run:
        check_for_regression(config, run, report)


def test_worse_model_fails_every_night_until_it_is_mended(tmp_path: Path) -> None:
    config = _config(tmp_path)
    _night(config, {1.0: 50, 0.5: 40})
    _night(config, {1.0: 50, 0.5: 40})
    for _ in range(2):
        with pytest.raises(RegressionFound, match=r"latent-mini got worse.*ratio 0\.5: accuracy -33\.3 points"):
            _night(config, {1.0: 50, 0.5: 20})
    _night(config, {1.0: 50, 0.5: 41})


def test_difference_within_noise_or_upwards_passes(tmp_path: Path) -> None:
    config = _config(tmp_path)
    _night(config, {1.0: 50})
    _night(config, {1.0: 48})
    _night(config, {1.0: 60})


def test_accepted_regression_becomes_the_yardstick(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = _config(tmp_path)
    _night(config, {1.0: 50})
    _night(_config(tmp_path, fail_on_regression=False), {1.0: 20})
    assert "got worse" in caplog.text
    _night(config, {1.0: 20})


def test_other_model_or_setting_is_not_compared(tmp_path: Path) -> None:
    _night(_config(tmp_path), {1.0: 50})
    _night(_config(tmp_path, model="smollm2"), {1.0: 20})
    _night(_config(tmp_path, evaluate={"questions": 60}), {1.0: 20})
