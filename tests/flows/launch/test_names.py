"""Names of runs: flow, model, benchmark, and what is new against the newest run of the flow in the store."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flows.launch.names import newest_config, run_name
from latent_core.config.tokenskip import TokenSkipConfig
from tests.support.lab import two_runs


def test_run_name_says_what_is_new_and_nothing_that_changes_no_result(tmp_path: Path) -> None:
    lab = two_runs(tmp_path)
    settings = {"train": {"learning_rate": 0.004}, "runtime": {"workers": 2}, "store": lab.store.root}
    config = TokenSkipConfig.model_validate(settings)
    before = newest_config("tokenskip-math", config)
    assert before is not None and before["train"]["learning_rate"] == 0.002
    name = "tokenskip-math latent-mini word_problems"
    assert run_name("tokenskip-math", config, before) == f"{name}: train.learning_rate 0.004"
    assert run_name("tokenskip-math", config, None) == name
    assert newest_config("grpo", config) is None


def test_run_is_named_without_a_look_at_older_records(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lab = two_runs(tmp_path)
    older, newest = (tmp_path / "store" / ".runs" / f"{number}{'0' * 31}.begun" for number in "12")
    older.write_text("no record")
    os.utime(older, (1.0, 1.0))
    before = newest_config("tokenskip-math", TokenSkipConfig(store=lab.store.root))
    assert before is not None and before["train"]["learning_rate"] == 0.002 and caplog.text == ""
    os.utime(newest, (0.5, 0.5))
    assert newest_config("tokenskip-math", TokenSkipConfig(store=lab.store.root)) == before
    assert "no whole record" in caplog.text


def test_run_name_of_many_changes_names_the_first_and_counts_the_rest(tmp_path: Path) -> None:
    first = TokenSkipConfig()
    train = {"learning_rate": 1e-3, "steps": 5, "max_length": 64, "seed": 7, "lora_rank": 4}
    other = TokenSkipConfig.model_validate({"train": train})
    assert run_name("tokenskip-math", other, first.model_dump(mode="json")).endswith(" and 2 more")


def test_run_whose_store_cannot_be_read_still_gets_a_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert newest_config("tokenskip-math", TokenSkipConfig(store=str(tmp_path / "file" / "store"))) is None
