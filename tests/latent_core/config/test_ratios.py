"""`ratios` at the top of a flow's parameters fills the sections that take ratios, and is no other run than they are."""

from __future__ import annotations

import pytest

from flows.launch.parameters import load
from latent_core.config.compress import CompressConfig, ScoreWordsConfig
from latent_core.config.label_kinds import LabelKindsConfig
from latent_core.config.label_words import LabelReading
from latent_core.config.ratios import WithRatios
from latent_core.config.tokenskip import TokenSkipConfig
from latent_core.errors import InputError

FLOWS = [TokenSkipConfig, LabelKindsConfig]
SECTIONS = ("compress", "prepare", "evaluate")


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("ratios", ["[0.8, 0.4]", "[0.8, 1.0, 0.4]"])
def test_ratios_fill_every_section_as_if_spelt_out(flow: type[WithRatios], ratios: str) -> None:
    config, without = load(flow, None, [f"ratios={ratios}"]), flow()
    for name, filled in zip(SECTIONS, [(0.8, 0.4), (1.0, 0.8, 0.4), (1.0, 0.8, 0.4)], strict=True):
        assert getattr(config, name) == getattr(without, name).model_copy(update={"ratios": filled})


def test_section_that_says_its_own_ratios_keeps_them() -> None:
    config = load(TokenSkipConfig, None, ["ratios=[0.8, 0.4]", "evaluate.ratios=[0.4]", "prepare.ratios=[0.8]"])
    assert (config.compress.ratios, config.prepare.ratios, config.evaluate.ratios) == ((0.8, 0.4), (0.8,), (0.4,))
    assert TokenSkipConfig(ratios=(0.8,), compress=CompressConfig(ratios=(0.8, 0.1))).compress.ratios == (0.8, 0.1)


def test_ratios_that_every_section_overrides_are_refused() -> None:
    sections = ["compress.ratios=[0.5]", "prepare.ratios=[1.0, 0.5]", "evaluate.ratios=[0.5]"]
    with pytest.raises(InputError, match=r"^ratios: \[0\.25\] have no effect, since compress\.ratios, .* are given"):
        load(TokenSkipConfig, None, ["ratios=[0.25]", *sections])
    assert load(TokenSkipConfig, None, ["ratios=[1.0, 0.5]", *sections]).evaluate.ratios == (0.5,)


def test_ratios_left_out_leave_the_defaults_of_the_sections() -> None:
    assert load(TokenSkipConfig, None).compress.ratios == CompressConfig().ratios


def test_other_fields_of_a_section_stay_beside_filled_ratios() -> None:
    assert load(LabelKindsConfig, None, ["ratios=[0.5]"]).compress.scoring.spans
    assert load(TokenSkipConfig, None, ["ratios=[0.5]", "evaluate.questions=7"]).evaluate.questions == 7


def test_section_of_label_kinds_given_in_part_keeps_the_defaults_of_the_flow() -> None:
    config = load(LabelKindsConfig, None, ["compress.ratio_of=target_tokens", "labels.held_out=7"])
    assert config.compress.scoring.spans and config.labels.reading is LabelReading.CONVERSATION
    config = load(LabelKindsConfig, None, ["compress.scoring.max_cot_tokens=9", "ratios=[0.5]"])
    assert config.compress.scoring == ScoreWordsConfig(spans=True, max_cot_tokens=9)
    assert not load(LabelKindsConfig, None, ["compress.scoring.spans=false"]).compress.scoring.spans


@pytest.mark.parametrize("section", ["", "compress.", "prepare.", "evaluate."])
def test_boolean_is_no_ratio(section: str) -> None:
    with pytest.raises(InputError, match=rf"^{section}ratios\.0: should be a number \(got True\)$"):
        load(TokenSkipConfig, None, [f"{section}ratios=[true]"])


def test_spans_as_units_need_scores_of_spans() -> None:
    with pytest.raises(InputError, match=r"^compress\.unit: span works on spans .*; set compress\.scoring\.spans$"):
        load(TokenSkipConfig, None, ["compress.unit=span"])
    with pytest.raises(InputError, match=r"^compress\.drop_consecutive: works on words"):
        spans = ["compress.unit=span", "compress.scoring.spans=true"]
        load(TokenSkipConfig, None, [*spans, "compress.drop_consecutive=true"])
    for forced in ("force_tokens=[Step]", "force_reserve_digit=true"):
        with pytest.raises(
            InputError, match=rf"^compress\.scoring\.{forced.partition('=')[0]}: forces words one by one"
        ):
            load(TokenSkipConfig, None, [*spans, f"compress.scoring.{forced}"])
    with pytest.raises(InputError, match=r"^compress\.unit: .*'word' or 'span' \(got 'phrase'\)$"):
        load(TokenSkipConfig, None, ["compress.unit=phrase"])


def test_parameters_read_again_as_a_server_sends_them_are_equal() -> None:
    config = load(TokenSkipConfig, None, ["ratios=[0.5]", "evaluate.ratios=[0.5]"])
    assert TokenSkipConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("ratios", "message"),
    [
        ("[0.5, 0.5]", r"^ratios: a ratio appears twice, to six digits, in \[0\.5, 0\.5\]$"),
        ("[1.0]", r"^ratios: needs a ratio below 1 to compress to$"),
        ("[]", r"^ratios: must not be empty"),
        ("[1.5]", r"^ratios\.0: .*less than or equal to 1 \(got 1\.5\)$"),
        ("0.5", r"^ratios: should be a list, such as \[a, b\] \(got 0\.5\)$"),
    ],
)
def test_wrong_ratios_are_one_line_that_names_them(ratios: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        load(TokenSkipConfig, None, [f"ratios={ratios}"])
    assert "\n" not in str(refused.value)


def test_ratios_that_a_section_does_not_compress_are_refused() -> None:
    with pytest.raises(InputError, match=r"^prepare\.ratios: \[0\.8\] are not in compress\.ratios \[0\.4\]$"):
        load(TokenSkipConfig, None, ["ratios=[0.8, 0.4]", "compress.ratios=[0.4]"])
