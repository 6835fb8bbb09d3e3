"""What `latent` answers to a mistake: one line that names it, an exit code that says whose it is, and no traceback."""

from __future__ import annotations

import io
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.cli.main import main
from latent_core.errors import InfrastructureError, InputError, LatentError
from latent_core.store import ArtifactStore, DamagedError


def _exit(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["latent", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("ratio: no"), 2),
        (DamagedError("evaluate/1: cut short"), 1),
        (InfrastructureError("store: gone"), 1),
        (PermissionError(13, "Permission denied", "/somewhere"), 1),
    ],
)
def test_exit_code_says_whether_the_command_was_wrong_or_its_work_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: LatentError | OSError, code: int
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("flows.cli.compression.show", fail)
    assert _exit(monkeypatch, "compress", "--text", "x") == code
    assert capsys.readouterr().err == f"error: {error}\n"


def test_sign_that_the_terminal_cannot_show_does_not_cost_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    assert _exit(monkeypatch, "compress", "--text", "Größe", "--ratio", "1", "--model", "truncate") == 0
    assert written.getvalue().decode("ascii").endswith("Gr\\xf6\\xdfe\n")


def test_directory_of_a_dual_model_that_cannot_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "dual"
    assert _exit(monkeypatch, "dual", "build", "latent-mini", out) == 2
    assert capsys.readouterr().err.startswith(f"error: OUT: {out} cannot be written (")


@pytest.mark.parametrize("command", [["ls"], ["verify"], ["gc"], ["show", "evaluate/1"]])
def test_store_that_is_not_there_is_not_taken_for_an_empty_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: list[str]
) -> None:
    assert _exit(monkeypatch, "artifacts", *command, "--store", tmp_path / "stroe") == 2
    assert f"there is no store at {tmp_path / 'stroe'}" in capsys.readouterr().err
    assert _exit(monkeypatch, "track", "sync", "--store", tmp_path / "stroe") == 2
    assert list(tmp_path.iterdir()) == []


def test_file_in_place_of_a_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for root in (tmp_path / "file", tmp_path / "file" / "store"):
        with pytest.raises(InputError, match=f"^store: {tmp_path / 'file'} is a file"):
            ArtifactStore(root)
    with pytest.raises(InputError, match=r"^store: nonsense://x cannot be opened"):
        ArtifactStore("nonsense://x")


@pytest.mark.parametrize("model", ["a dir #1", "key: value", "[x", "1e3", "null", "ä\U0001f642"])
def test_eval_takes_names_as_they_are_whatever_they_would_be_in_yaml(
    monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("flows.launch.execute.execute", lambda flow, file, settings, force: asked.append(settings))
    _exit(monkeypatch, "eval", "--model", model, "--benchmark", f"file:{model}.jsonl")
    from flows.launch.parameters import load
    from latent_core.config.reevaluate import ReevaluateConfig

    config = load(ReevaluateConfig, None, asked[0])
    assert (config.model, config.benchmark.test_path) == (model, f"{model}.jsonl")


@pytest.mark.parametrize(
    ("ratios", "message"),
    [
        (["auto"], "evaluate.auto_ratio: needs a model that names its ratio (ratio_form: echo); leave it out"),
        (["half"], "evaluate.ratios.0"),
        (["1.5"], "evaluate.ratios.0"),
    ],
)
def test_eval_at_a_ratio_that_cannot_be_asked_for_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, ratios: list[str], message: str
) -> None:
    asked = [word for ratio in ratios for word in ("--ratio", ratio)]
    assert _exit(monkeypatch, "eval", "--model", "latent-mini", "--store", tmp_path / "store", *asked) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert line.startswith(f"error: {message}")


def test_eval_at_auto_beside_other_ratios_asks_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.launch.parameters import load
    from latent_core.config.reevaluate import ReevaluateConfig

    asked: list[Any] = []
    monkeypatch.setattr("flows.launch.execute.execute", lambda flow, file, settings, force: asked.append(settings))
    for words in (["0.5", "auto"], ["auto"], ["0.5"]):
        _exit(monkeypatch, "eval", "--model", "m", *[part for word in words for part in ("--ratio", word)])
    found = [load(ReevaluateConfig, None, settings).evaluate for settings in asked]
    assert [(item.ratios, item.auto_ratio) for item in found] == [((0.5,), True), ((1.0,), True), ((0.5,), False)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seed", "-1"], "seed: Input should be greater than or equal to 0"),
        (["--mode", "subset"], "dual.mode: 'subset' needs exactly one of pattern, seen_at_least, ids_file"),
        (["--pattern", "x"], "dual.pattern: mode 'full_copy' does not take it"),
        (["--mode", "foo"], "mode: Input should be 'full_copy'"),
        (["--mode", "subset", "--ids-file", "none.json"], "--ids-file: none.json does not exist"),
        (["--mode", "custom", "--tokens-file", "/"], "--tokens-file: / is no file"),
    ],
)
def test_dual_build_names_its_own_option_before_it_looks_at_the_model(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    options: list[str],
    message: str,
) -> None:
    assert _exit(monkeypatch, "dual", "build", "no-such-model", tmp_path / "out", *options) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert list(tmp_path.iterdir()) == []


def test_scorer_says_that_its_port_is_taken_before_it_loads_the_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("latent_core.reward.server.Scorer", lambda *_: pytest.fail("the model was loaded"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert _exit(monkeypatch, "scorer", "--model", "latent-mini", "--port", port) == 2
    assert f"port: {port} on 127.0.0.1 cannot be used" in capsys.readouterr().err
