"""A measurement's file: what was run, without the folders of the machine it ran on."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest

from bench.record import add_json_option, command, save


def test_command_leaves_out_folders_and_the_file_it_writes() -> None:
    arguments = ["/home/me/bench/grading.py", "--golds", "/data/golds.jsonl", "--json", "/out/x.json", "--rounds", "3"]
    assert command(arguments) == "python -m bench.grading --golds golds.jsonl --rounds 3"
    assert command(["/home/me/bench/chaos/__main__.py", "--json=x.json"]) == "python -m bench.chaos"


def test_saved_file_holds_the_numbers_and_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/home/me/bench/grading.py"])
    parser = argparse.ArgumentParser()
    add_json_option(parser)
    save(parser.parse_args(["--json", str(tmp_path / "x.json")]).json, {"rate": 2.5})
    content = json.loads((tmp_path / "x.json").read_text())
    assert content["results"] == {"rate": 2.5}
    measured = content["measured"]
    assert measured["command"] == "python -m bench.grading" and measured["versions"]["python"] and measured["commit"]
    assert measured["machine"]["cores"] >= 1 and measured["machine"]["memory_gib"] >= 1


def test_nothing_is_written_unless_a_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(None, {"rate": 2.5})
    assert not list(tmp_path.iterdir())
