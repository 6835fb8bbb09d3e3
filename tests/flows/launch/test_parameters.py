"""Parameters from files and the command line: every mistake is one line that names the field and the fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.launch.parameters import load
from latent_core.config.compressor import CompressorConfig
from latent_core.config.runtime import LeasePolicy
from latent_core.config.tokenskip import TokenSkipConfig
from latent_core.errors import InputError

ROOT = Path(__file__).parents[3]


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
        ("steps=5", r"^steps: unknown key; did you mean train\.steps or warm_start\.train\.steps\?$"),
        ("train.questions=5", r"did you mean .*collect\.questions or evaluate\.questions\?$"),
        ("max_new_token=5", r"did you mean collect\.sampling\.max_new_tokens or evaluate\.sampling\.max_new_tokens\?$"),
        ("sampling.seed=5", r"^sampling: unknown key; did you mean collect\.sampling or evaluate\.sampling\?$"),
        ("step=5", r"did you mean train\.steps"),
        ("zzz=5", "zzz: unknown key; remove it"),
        ("evaluate.ratios=[1.2]", r"evaluate\.ratios\.0: .*less than or equal to 1 \(got 1\.2\)"),
        ("evaluate.ratios=[0]", r"evaluate\.ratios\.0: .*greater than 0"),
        ("prepare.ratios=[0.9]", r"prepare\.ratios: \[0\.9\] are not in compress\.ratios"),
        ("compress.ratios=[0.5, 0.5]", "a ratio appears twice"),
        ("evaluate.ratios=[1.0, 0.3, 0.30000001]", "evaluate.ratios: a ratio appears twice, to six digits"),
        ("compress.keep_numbers=true", "set compress.scoring.spans"),
        ("collect.sampling.temperature=0", "set temperature above 0"),
        ("evaluate.sampling.samples=4", "set temperature above 0"),
        ("train.steps=many", "train.steps"),
        ("nonsense", "must look like section.field=value"),
        ("evaluate.ratios=[0.5", r"--set: the value in 'evaluate\.ratios=\[0\.5' is not YAML"),
        ("collect={questions: 1, questions: 2}", "the key 'questions' is given twice"),
        ("train.micro_batch_size=3", r"^train\.micro_batch_size: 3 does not divide batch_size 128"),
        ("train.learning_rate=.inf", r"train\.learning_rate: .*finite number"),
        ("collect.questions=true", r"^collect\.questions: should be a number \(got True\)"),
        ("variants=standard", r"variants: should be a list, such as \[a, b\] \(got 'standard'\)"),
        ("collect=3", "collect: is a section"),
        ('dual={mode: subset, pattern: "("}', r"^dual\.pattern: is not a regular expression"),
        ("seeds=[1, 1]", r"^seeds: \[1, 1\] must be different"),
        ("dual.mode=subset", r"^dual\.mode: 'subset' needs"),
        ("evaluate.sampling.samples=4", r"^evaluate\.sampling\.samples: greedy"),
        ("tracking.uri=http://a:b@h", r"^tracking\.uri: leave it unset"),
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


def test_list_with_one_wrong_item_is_told_of_that_item_alone() -> None:
    with pytest.raises(InputError) as raised:
        load(TokenSkipConfig, None, ["variants=[standrad]"])
    assert str(raised.value).startswith("variants.0: ") and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xfc\x00", "is not UTF-8 text"),
        (b"collect: {questions: 5}\ncollect: {questions: 6}\n", "the key 'collect' is given twice"),
        (b"collect:\n\tquestions: 5\n", r"is not YAML \(.*line 2, column 1\)"),
        (b"- collect\n", "must hold a mapping"),
        (b"model: &a [*a]\n", "is not YAML"),
        (b"1: 2\n", r"^1: keys are words"),
    ],
)
def test_file_that_holds_no_parameters_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "run.yaml"
    file.write_bytes(content)
    with pytest.raises(InputError, match=message) as refused:
        load(TokenSkipConfig, file)
    assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="is no file"):
        load(TokenSkipConfig, tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ((ROOT / "prefect.yaml").read_bytes(), "declares Prefect's deployments; give a file .*smoke.yaml"),
        (b"cfg: {model: latent-mini}\n", "holds the parameters under cfg"),
    ],
)
def test_file_of_prefect_is_told_from_parameters(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "prefect.yaml"
    file.write_bytes(content)
    with pytest.raises(InputError, match=rf"^--config: .*prefect\.yaml {message}") as refused:
        load(TokenSkipConfig, file)
    assert "\n" not in str(refused.value)


def test_key_unknown_to_an_item_of_a_list_is_compared_with_those_it_has() -> None:
    with pytest.raises(InputError, match=r"corpora\.0\.label: unknown key; did you mean 'labels'"):
        load(CompressorConfig, None, ["corpora=[{benchmark: {}, label: {}}]"])


def test_file_may_use_anchors_and_override_what_it_merges(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("train: &t {steps: 3, seed: 1}\nwarm_start: {train: {<<: *t, seed: 2}}\n")
    warm_start = load(TokenSkipConfig, file).warm_start
    assert warm_start is not None and (warm_start.train.steps, warm_start.train.seed) == (3, 2)


def test_lease_off_needs_no_quotes_though_yaml_reads_a_truth_value() -> None:
    config = load(TokenSkipConfig, None, ["runtime.lease=wait"])
    assert config.runtime.lease is LeasePolicy.WAIT
    assert load(TokenSkipConfig, None, ["runtime.lease=off"]).runtime.lease is LeasePolicy.OFF
    with pytest.raises(InputError, match=r"runtime\.lease: .*\(got True\)"):
        load(TokenSkipConfig, None, ["runtime.lease=on"])
