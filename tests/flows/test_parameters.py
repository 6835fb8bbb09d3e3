"""Parameters from files and the command line: every mistake is one line that names the field and the fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.parameters import load
from latent_core.config.runtime import LeasePolicy
from latent_core.config.tokenskip import TokenSkipConfig
from latent_core.errors import InputError


def test_overrides_reach_nested_sections(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("collect: {questions: 5}\n")
    config = load(TokenSkipConfig, file, ["collect.sampling.seed=7", "compress.ratios=[0.5]", "prepare.ratios=[0.5]"])
    assert (config.collect.questions, config.collect.sampling.seed, config.compress.ratios) == (5, 7, (0.5,))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("colect.questions=3", "colect: unknown key; did you mean 'collect'"),
        ("collect.question=3", "collect.question: unknown key; did you mean 'questions'"),
        ("evaluate.ratios=[1.2]", r"evaluate\.ratios\.0: .*less than or equal to 1 \(got 1\.2\)"),
        ("evaluate.ratios=[0]", r"evaluate\.ratios\.0: .*greater than 0"),
        ("prepare.ratios=[0.9]", r"prepare\.ratios: \[0\.9\] are not in compress\.ratios"),
        ("compress.ratios=[0.5, 0.5]", "a ratio appears twice"),
        ("compress.keep_numbers=true", "set compress.scoring.spans"),
        ("collect.sampling.temperature=0", "set temperature above 0"),
        ("evaluate.sampling.samples=4", "set temperature above 0"),
        ("train.steps=many", "train.steps"),
        ("nonsense", "must look like section.field=value"),
    ],
)
def test_wrong_override_is_one_clear_line(override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(TokenSkipConfig, None, [override])


def test_overriding_one_field_keeps_the_other_defaults_of_its_section() -> None:
    config = load(TokenSkipConfig, None, ["collect.sampling.seed=7"])
    assert config.collect.sampling == TokenSkipConfig().collect.sampling.model_copy(update={"seed": 7})


def test_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load(TokenSkipConfig, tmp_path / "none.yaml")


def test_lease_off_needs_no_quotes_though_yaml_reads_a_truth_value() -> None:
    config = load(TokenSkipConfig, None, ["runtime.lease=wait"])
    assert config.runtime.lease is LeasePolicy.WAIT
    assert load(TokenSkipConfig, None, ["runtime.lease=off"]).runtime.lease is LeasePolicy.OFF
    with pytest.raises(InputError, match=r"runtime\.lease: .*\(got True\)"):
        load(TokenSkipConfig, None, ["runtime.lease=on"])
