"""Templates that read the clock render the same day for ever, in English, and that day is identity."""

from __future__ import annotations

import locale
from pathlib import Path
from typing import Any

import pytest

from latent_core.config.chat import ChatConfig
from latent_core.errors import InputError
from latent_core.models.chat import chat_model_fingerprint, check_dual, open_chat_model
from latent_core.models.chat_template import Clock
from latent_core.models.family import chat_family, open_family
from latent_core.models.readable import ReadableModel
from latent_core.models.source import open_model
from latent_core.prompts import render_prompt
from tests.support import conversations as written
from tests.support.conversations import model_dir_of, tokenizer_of

READERS: dict[str, tuple[str, str, tuple[str, ...], str]] = {
    "llama 3.2": (written.LLAMA_32, "llama", (), "Today Date: 26 Jul 2024\n"),
    "gpt-oss": (written.HARMONY, "harmony", (), "Current date: 2024-07-26\n"),
    "smollm3": (written.SMOLLM3, "chatml", written.THINK, "Today Date: 26 July 2024\n"),
    "now": ("Date: {{ now().strftime('%Y-%m-%d') }}\n" + written.CHATML, "chatml", (), "Date: 2024-07-26\n"),
    "macro": (
        "{% macro day() %}{{ strftime_now('%d.%m.%Y %H:%M') }}{% endmacro %}{{ day() }}" + written.CHATML,
        "chatml", (), "26.07.2024 00:00",
    ),
}  # fmt: skip
NO_READERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "llama 3.1": (written.LLAMA_31, "llama", ()),
    "chatml": (written.CHATML, "chatml", ()),
    "hybrid": (written.QWEN3, "chatml", written.THINK),
    "gemma": (written.GEMMA, "gemma", ()),
    "smollm2": (written.SMOLLM2, "chatml", ()),
    # The day is part of a system prompt that ours takes the place of.
    "own system prompt": (
        "{% if messages[0]['role'] != 'system' %}<|im_start|>system\n{{ strftime_now('%Y') }}<|im_end|>\n{% endif %}"
        + written.CHATML,
        "chatml",
        (),
    ),
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's clock, as transformers reads it, shows another day."""
    import datetime

    from transformers.utils import chat_template_utils

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime.datetime:
            return datetime.datetime(2031, 5, 6, 7, 8, 9)

    monkeypatch.setattr(chat_template_utils, "datetime", Later)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.usefixtures("later")
def test_template_that_reads_the_clock_renders_the_pinned_day(name: str) -> None:
    template, kind, plain, shown = READERS[name]
    tokenizer = tokenizer_of(template, kind, plain)
    family = chat_family(tokenizer)
    text = render_prompt("How many?", tokenizer, family)
    assert shown in text and "2031" not in text
    other = chat_family(tokenizer, ChatConfig(date="1999-12-31"))
    assert "1999" in render_prompt("How many?", tokenizer, other)
    assert (family.identity()["date"], other.identity()["date"]) == ("2024-07-26", "1999-12-31")


@pytest.mark.parametrize("name", READERS)
def test_date_is_identity_of_a_model_whose_template_reads_the_clock(name: str, tmp_path: Path) -> None:
    template, kind, plain, _ = READERS[name]
    model = str(model_dir_of(tmp_path / "model", tokenizer_of(template, kind, plain)))
    plain_content = open_model(model).fingerprint
    default = chat_model_fingerprint(model)
    assert default == chat_model_fingerprint(model, ChatConfig(date="2024-07-26"))
    assert len({plain_content, default, chat_model_fingerprint(model, ChatConfig(date="2025-01-01"))}) == 3


@pytest.mark.parametrize("name", NO_READERS)
def test_date_changes_nothing_of_a_model_whose_template_reads_no_clock(name: str, tmp_path: Path) -> None:
    model = str(model_dir_of(tmp_path / "model", tokenizer_of(*NO_READERS[name])))
    content = open_model(model)
    assert open_chat_model(model) == content
    assert open_chat_model(model, ChatConfig(date="2025-01-01")) == content  # its directory too: nothing to carry


@pytest.mark.parametrize("model", ["latent-mini", "latent-compressor"])
def test_embedded_models_keep_their_fingerprints(model: str) -> None:
    assert chat_model_fingerprint(model) == open_model(model).fingerprint
    assert open_chat_model(model, ChatConfig(date="2025-01-01")) == open_model(model)


def test_model_is_read_with_its_settings_by_everything_that_gets_its_directory(tmp_path: Path) -> None:
    model = model_dir_of(tmp_path / "model", tokenizer_of(written.SMOLLM3))
    found = open_chat_model(str(model), ChatConfig.model_validate({"thinking": "off", "date": "2020-02-29"}))
    read = ReadableModel.load(found.directory)
    prompt = render_prompt("How many?", read.tokenizer, read.family)
    assert "29 February 2020" in prompt and prompt.endswith("</think>\n") and not read.family.thinks
    assert ReadableModel.load(model).family.thinks  # nothing was written into a directory that is not ours
    assert {path.name for path in model.iterdir()} < {path.name for path in found.directory.iterdir()}
    again = open_chat_model(str(found.directory))
    assert open_family(again.directory)[1] == read.family


def test_settings_that_a_model_carries_are_not_overruled(tmp_path: Path) -> None:
    model = model_dir_of(tmp_path / "model", tokenizer_of(written.SMOLLM3))
    carried = open_chat_model(str(model), ChatConfig(date="2020-02-29")).directory
    assert open_chat_model(str(carried), ChatConfig(date="2020-02-29")).directory == carried
    with pytest.raises(InputError, match=r"chat\.date: is 2021-01-01, but .* was trained with 2020-02-29"):
        open_chat_model(str(carried), ChatConfig(date="2021-01-01"))


def test_contradiction_is_refused_when_the_model_is_found(tmp_path: Path) -> None:
    model = model_dir_of(tmp_path / "model", tokenizer_of(written.CHATML_OPEN_THINK))
    with pytest.raises(InputError, match=r"chat\.thinking: the model shall not think"):
        chat_model_fingerprint(str(model), ChatConfig.model_validate({"thinking": "off"}))


def test_pinned_clock_speaks_english_whatever_the_locale() -> None:
    clock = Clock("2024-07-26")
    for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C.UTF-8", "C"):
        try:
            locale.setlocale(locale.LC_TIME, name)
        except locale.Error:
            continue
        assert clock.strftime_now("%A %a, %d %B %b %Y %p %j") == "Friday Fri, 26 July Jul 2024 AM 208"
    locale.setlocale(locale.LC_TIME, "C")
    assert clock.strftime_now("%c|%x|%X|%-d|100%%") == "Fri Jul 26 00:00:00 2024|07/26/24|00:00:00|26|100%"
    assert clock.strftime_now("%s") == "1721952000"  # seconds since 1970 in UTC


@pytest.mark.parametrize("date", ["26 Jul 2024", "2024-13-01", "", "today", "2024-07-26T10:00"])
def test_date_that_is_no_day_is_refused(date: str) -> None:
    with pytest.raises(ValueError, match="is not a date; write it as YYYY-MM-DD"):
        ChatConfig(date=date)


def test_date_as_yaml_reads_it_is_a_day() -> None:
    import datetime

    assert ChatConfig.model_validate({"date": datetime.date(2025, 1, 2)}).date == "2025-01-02"


def test_model_whose_dual_could_not_reason_is_refused_before_it_is_built(tmp_path: Path) -> None:
    closing = written.CHATML_OPEN_THINK.replace("<think>\n", "<think>\n\n</think>\n\n")
    headed = written.HARMONY
    for name, template, kind, message in (
        ("closing", closing, "chatml", "closes the reasoning before the model says anything"),
        ("headed", headed, "harmony", r"writes '<\|channel\|>final<\|message\|>' before the reasoning"),
    ):
        model = model_dir_of(tmp_path / name, tokenizer_of(template, kind, ()))
        with pytest.raises(InputError, match=message):
            check_dual(str(model))
    for name, template, plain in (("plain", written.CHATML, ()), ("hybrid", written.QWEN35_OFF, written.THINK)):
        check_dual(str(model_dir_of(tmp_path / name, tokenizer_of(template, plain=plain))))


def test_memo_of_a_reading_that_was_cut_off_is_read_again(tmp_path: Path) -> None:
    model = str(model_dir_of(tmp_path / "model", tokenizer_of(written.SMOLLM3)))
    found = chat_model_fingerprint(model)
    memos = list((tmp_path / "cache" / "chat_readings").glob("*.json"))
    assert memos
    for memo in memos:
        memo.write_text('{"da')
    assert chat_model_fingerprint(model) == found
