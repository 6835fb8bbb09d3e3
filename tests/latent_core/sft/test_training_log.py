"""What training logs can be read while it lasts, line by line."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from latent_core.sft.training_log import LogReader, log_callback


def _log(callback: Any, entry: dict[str, object], *, first: bool = True) -> None:
    callback.on_log(None, SimpleNamespace(is_world_process_zero=first, log_history=[entry]), None)


def test_reader_gives_each_entry_of_the_first_process_once(tmp_path: Path) -> None:
    callback, reader = log_callback(tmp_path / "checkpoints"), LogReader(tmp_path / "checkpoints")
    assert reader.new() == []
    _log(callback, {"loss": 2.0, "step": 10, "note": "text", "bad": float("nan")})
    _log(callback, {"loss": 9.0, "step": 10}, first=False)
    assert reader.new() == [{"loss": 2.0, "step": 10}]
    _log(callback, {"loss": 1.0, "step": 20})
    assert reader.new() == [{"loss": 1.0, "step": 20}] and reader.new() == []
    assert len(LogReader(tmp_path / "checkpoints").new()) == 2


def test_reader_waits_for_a_line_that_is_being_written_and_leaves_a_torn_one_out(tmp_path: Path) -> None:
    path, reader = tmp_path / "log.jsonl", LogReader(tmp_path)
    path.write_text('{"loss": 2.0}\n{"los')
    assert reader.new() == [{"loss": 2.0}]
    path.write_text('{"loss": 2.0}\n{"los\n{"loss": 1.0}\n')
    assert reader.new() == [{"loss": 1.0}]
