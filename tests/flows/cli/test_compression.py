"""`latent compress`: nothing of the source is lost in what it prints, on a terminal or not."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from flows.cli.compression import show
from flows.cli.main import app
from latent_core.config.compress import Unit
from latent_core.errors import InputError

TEXT = "First, we add  the numbers.\n\n12 + 7 = 19, so $\\frac{38}{2} = 19$.\n"


def _printed(capsys, *ratios, as_json=False, text=TEXT, model="latent-compressor"):
    show(None, text, ratios, model, as_json)
    return capsys.readouterr().out


def test_compress_into_a_pipe_marks_what_was_dropped_and_loses_nothing(capsys):
    out = _printed(capsys, 0.5, 0.2)
    headers = re.findall(r"^ratio (\S+): (\d+) of (\d+) encoder tokens, (\S+) achieved\n", out, re.MULTILINE)
    assert [(ratio, whole) for ratio, _, whole, _ in headers] == [("0.5", headers[0][2]), ("0.2", headers[0][2])]
    for _, after, whole, achieved in headers:
        assert float(achieved) == pytest.approx(int(after) / int(whole), abs=0.006)
    bodies = re.split(r"^ratio .*\n", out, flags=re.MULTILINE)[1:]
    for body in bodies:
        assert "[-" in body
        assert body.replace("[-", "").replace("-]", "") == f"{TEXT}\n"
    assert "\x1b" not in out


def test_compress_on_a_terminal_strikes_what_was_dropped_through(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = _printed(capsys, 0.2)
    assert "[-" not in out
    struck = "".join(re.findall(r"\x1b\[9;31m(.*?)\x1b\[0m", out, re.DOTALL))
    assert "add" in struck or "numbers" in struck


def test_compress_as_json_holds_text_counts_and_achieved_ratio(capsys):
    whole, half = json.loads(_printed(capsys, 1.0, 0.5, as_json=True))
    assert (whole["text"], whole["achieved"]) == (TEXT, 1.0)
    assert half["achieved"] == half["encoder_tokens_after"] / half["encoder_tokens_before"] < 1


def test_compress_with_a_baseline_by_name(capsys):
    assert "First, we add  the [-numbers." in _printed(capsys, 0.3, model="truncate")


def test_compress_needs_exactly_one_readable_source(tmp_path):
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    for file, text, message in (
        (None, None, "exactly one"),
        (binary, "x", "exactly one"),
        (tmp_path / "none", None, "does not exist"),
        (binary, None, "not UTF-8"),
    ):
        with pytest.raises(InputError, match=message):
            show(file, text, [0.5], "latent-compressor", False)


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_compress_without_a_text_is_refused(tmp_path, text):
    blank = tmp_path / "blank.txt"
    blank.write_text(text)
    with pytest.raises(InputError, match="--text: holds no text"):
        show(None, text, [0.5], "truncate", False)
    with pytest.raises(InputError, match=r"FILE: .*blank\.txt holds no text"):
        show(blank, None, [0.5], "truncate", False)
    refused = CliRunner().invoke(app, ["compress", "-", "--model", "truncate"], input=text)
    assert isinstance(refused.exception, InputError) and "standard input holds no text" in str(refused.exception)


def test_compress_of_a_command_line_that_is_no_utf8_is_refused():
    with pytest.raises(InputError, match="--text: is not UTF-8 text"):
        show(None, "caf\udce9", [0.5], "truncate", False)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_compress_reads_standard_input(mark):
    arguments = ["compress", "-", "--ratio", "1", "--model", "truncate", "--json"]
    read = CliRunner().invoke(app, arguments, input=f"{mark}Größe zählt.".encode())
    assert read.exit_code == 0 and json.loads(read.stdout)[0]["text"] == "Größe zählt."
    refused = CliRunner().invoke(app, arguments, input=b"\xff\xfe")
    assert isinstance(refused.exception, InputError) and "standard input is not UTF-8" in str(refused.exception)


@pytest.mark.parametrize(
    ("model", "why"), [("nope", "is neither a directory"), ("latent-mini", "is not a token classifier")]
)
def test_compress_with_a_wrong_model_names_the_option(model, why):
    with pytest.raises(InputError, match=rf"^--model: .*{why}"):
        show(None, "One. Two.", [0.5], model, False)


def test_latent_compress_takes_a_file_or_options_without_naming_text_and_train_by_name(tmp_path, monkeypatch):
    shown, planned = [], []
    monkeypatch.setattr("flows.cli.compression.show", lambda *arguments: shown.append(arguments))
    monkeypatch.setattr("flows.launch.plan.show_plan", lambda *arguments: planned.append(arguments))
    file = tmp_path / "train"  # a file that is called like a command
    for arguments in (["--text", "One. Two.", "--ratio", "0.3"], [str(file)], ["text", str(file)]):
        assert CliRunner().invoke(app, ["compress", *arguments]).exit_code == 0
    assert [call[:3] for call in shown] == [(None, "One. Two.", [0.3]), (file, None, [0.5]), (file, None, [0.5])]
    invoked = CliRunner().invoke(app, ["compress", "train", "--set", "train.epochs=2", "--dry-run"])
    assert (invoked.exit_code, planned) == (0, [("compressor", None, ["train.epochs=2"], [])])


def test_compress_by_spans_keeps_equations_whole(capsys):
    show(None, "Now 3 + 4 = 7 is it", [0.6], "truncate", True, Unit.SPAN)
    (row,) = json.loads(capsys.readouterr().out)
    assert row["text"] == "Now 3 + 4 = 7" and row["encoder_tokens_after"] == 6
    show(None, "Now 3 + 4 = 7 is it", [0.6], "truncate", False, Unit.SPAN)
    assert "Now 3 + 4 = 7[" in capsys.readouterr().out.replace(" [-", "[-")


def test_compress_with_a_compressor_that_reads_answers_is_refused():
    with pytest.raises(InputError, match=r"^--model: cts scores a text by its question and answer"):
        show(None, "One. Two.", [0.5], "cts:latent-mini", False)
