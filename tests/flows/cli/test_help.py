"""What every command line should answer at once: -h, --version, shell completion; and eval's --store."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from flows.cli.main import FLOWS, app
from flows.launch.parameters import load
from flows.launch.registry import find_flow
from latent_core.config.reevaluate import ReevaluateConfig
from tasks.environment import code_version

HEAVY = ("torch", "transformers", "prefect", "mlflow", "pyarrow", "datasets", "pandas")


def _commands(command: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [above]
    for name, inner in getattr(command, "commands", {}).items():
        found += _commands(inner, (*above, name))
    return found


@pytest.mark.parametrize("words", _commands(get_command(app)), ids=lambda words: " ".join(words) or "latent")
def test_short_option_of_every_command_shows_the_help_of_the_long_one(words: tuple[str, ...]) -> None:
    short, long = (CliRunner().invoke(app, [*words, option]) for option in ("-h", "--help"))
    assert (short.exit_code, short.output) == (0, long.output)
    assert "Usage" in short.output


def test_version_names_the_package_and_in_a_checkout_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.environment.code_version", lambda: "0123456789ab+")
    assert CliRunner().invoke(app, ["--version"]).output == "latent-reasoning 0.1.0 (commit 0123456789ab+)\n"
    monkeypatch.setattr("tasks.environment.code_version", lambda: "latent-reasoning 0.1.0")
    assert CliRunner().invoke(app, ["--version"]).output == "latent-reasoning 0.1.0\n"
    assert code_version()


def _completed(words: str, **environment: str) -> str:
    """What a shell is offered after these words."""
    count = len(words.split()) if words.endswith(" ") else len(words.split()) - 1
    found = {"_LATENT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(count), **environment}
    code = (
        "import sys; sys.argv = ['latent']; from flows.cli.main import main\n"
        "try: main()\n"
        f"finally: print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | found, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr.strip() == "[]", done.stderr
    return done.stdout


def test_shell_completes_commands_options_and_flows_without_heavy_imports() -> None:
    assert "models" in _completed("latent ").split() and "track" in _completed("latent tr").split()
    assert "champion" in _completed("latent track ch").split()
    assert "--store" in _completed("latent eval --st").split()
    assert _completed("latent run tok").split() == ["tokenskip-math"]


def test_completion_can_be_installed() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    assert "--install-completion" in shown and "--show-completion" in shown


@pytest.mark.parametrize("name", FLOWS)
def test_flow_that_is_offered_is_one(name: str) -> None:
    assert find_flow(name)


@pytest.mark.parametrize(
    ("options", "store"),
    [
        ([], ".latent/store"),
        (["--store", "s3://bucket/a b"], "s3://bucket/a b"),
        (["--store", "here", "--set", "store=there"], "there"),
    ],
)
def test_eval_reads_and_writes_the_store_that_is_named(
    monkeypatch: pytest.MonkeyPatch, options: list[str], store: str
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("flows.launch.execute.execute", lambda flow, file, settings, force: asked.append(settings))
    assert CliRunner().invoke(app, ["eval", "--model", "latent-mini", *options]).exit_code == 0
    assert load(ReevaluateConfig, None, asked[0]).store == store
