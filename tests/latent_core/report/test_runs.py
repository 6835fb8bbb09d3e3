"""What was run, as manifests tell it."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from latent_core.report.runs import RanStage, environments, loss_figure, sampling_rows, training_rows

CURVE = [{"step": 10.0, "loss": 2.0}, {"step": 20.0, "loss": 1.0}, {"step": 20.0, "eval_loss": 0.5}]


def training(role: str, **record: Any) -> RanStage:
    parameters = {"learning_rate": 5e-5, "steps": 1200, "seed": 7, "method": "lora", "lora_rank": 8, "lora_alpha": 16}
    parameters |= {"batch_size": 16, "schedule": "cosine_with_restarts"}
    metrics = {"trainable_parameters": 500, "parameters": 2000, "best_eval_loss": 0.5}
    whole = {"parameters": parameters, "started": 0.0, "seconds": 120.0, "environment": {"commit": "abc", "torch": "2"}}
    return RanStage(role, "train", metrics, whole | record)


def test_training_rows_state_settings_as_they_were_set() -> None:
    (row,) = training_rows([training("train/dual", device="cpu"), RanStage("collect", "collect")])
    assert row == {
        "model": "dual",
        "learning rate": "5e-05",
        "schedule": "cosine with restarts",
        "steps": "1200",
        "batch": "16",
        "seed": "7",
        "adapter": "LoRA, rank 8, alpha 16",
        "parameters that learn": 500,
        "of all": "25.0 %",
        "best validation loss": 0.5,
        "minutes": 2.0,
        "device": "cpu",
        "date, UTC": "1970-01-01 00:00",
        "commit": "abc",
    }


@pytest.mark.parametrize(
    ("settings", "adapter"),
    [
        ({"lora_variant": "dora", "latent_rows": "frozen"}, "DoRA, rank 8, alpha 16, latent rows frozen"),
        ({"visible_rows": "trainable"}, "LoRA, rank 8, alpha 16, visible rows learn"),
        ({"method": "full"}, "none: every weight"),
    ],
)
def test_training_rows_say_which_weights_learn(settings: dict[str, str], adapter: str) -> None:
    stage = training("train/dual")
    parameters = {**stage.parameters, **settings}
    assert training_rows([training("train/dual", parameters=parameters)])[0]["adapter"] == adapter


def test_training_rows_of_a_manifest_that_knows_nothing_are_blank() -> None:
    (row,) = training_rows([RanStage("train/x", "train")])
    assert {value for key, value in row.items() if key not in ("model", "commit")} == {None}
    assert row["commit"] == "not recorded"


def test_sampling_rows_join_evaluations_that_were_sampled_alike() -> None:
    def evaluation(name: str, temperature: float) -> RanStage:
        sampling = {"engine": "vllm", "temperature": temperature, "samples": 1}
        return RanStage(f"evaluation/{name}", "evaluate", record={"parameters": {"sampling": sampling}})

    cut = RanStage("evaluation/base/truncate 0.5", "truncate", record={"parameters": {"ratio": 0.5}})
    alike = [evaluation("dual/ratio 1", 0.0), evaluation("dual/ratio 0.5", 0.0), cut]
    assert [row["evaluations"] for row in sampling_rows(alike)] == ["all"]
    both = sampling_rows([*alike, evaluation("base/untrained", 0.7)])
    assert [row["evaluations"] for row in both] == ["dual, ratio 1; dual, ratio 0.5", "base, untrained"]
    assert [row["temperature"] for row in both] == ["0 (greedy)", "0.7"]


def test_sampling_rows_state_every_setting() -> None:
    sampling = {"engine": "vllm", "temperature": 0.7, "top_p": 0.9, "top_k": 20, "samples": 4, "max_new_tokens": 4096}
    record = {"parameters": {"sampling": sampling | {"seed": 42, "dtype": "bfloat16"}}, "environment": {"commit": "c"}}
    assert sampling_rows([RanStage("evaluation/dual/ratio 1", "evaluate", record=record)]) == [
        {
            "evaluations": "all",
            "engine": "vllm",
            "temperature": "0.7",
            "top p": "0.9",
            "top k": "20",
            "samples a question": "4",
            "longest output": "4096",
            "seed": "42",
            "computed in": "bfloat16",
            "commit": "c",
        }
    ]


def test_environments_name_every_version_that_stages_ran_with() -> None:
    later = training("train/b", started=3600.0, environment={"commit": "d", "torch": "3"})
    found = environments([training("train/a"), later])
    assert found["commit"] == "abc, d" and found["torch"] == "2, 3"
    assert found["computed"] == "1970-01-01 00:00 to 1970-01-01 01:00 UTC"


def test_loss_figure_draws_each_variant_once_over_its_seeds_and_is_absent_without_curves() -> None:
    stages = [training(f"train/{name}", curve=CURVE) for name in ("dual-seed1", "dual-seed2", "standard-seed1")]
    figure = loss_figure(stages, {"dual-seed1": "#123456"})
    assert figure is not None and figure.narrow != figure.svg
    for svg in (figure.svg, figure.narrow):
        ElementTree.fromstring(svg)
        assert b"validation loss" in svg and b"#123456" in svg and svg.count(b">dual<") == 1
    assert loss_figure([training("train/dual")], {}) is None
