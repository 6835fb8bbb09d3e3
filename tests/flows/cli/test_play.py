"""`latent envs` and `latent play`."""

from __future__ import annotations

from typer.testing import CliRunner

from flows.cli.main import app
from latent_core.rl.environments import environment_names

CLI = CliRunner()


def test_envs_lists_every_environment() -> None:
    result = CLI.invoke(app, ["envs"])
    assert result.exit_code == 0
    assert all(name in result.stdout for name in environment_names())


def test_play_shows_instruction_turns_and_return() -> None:
    result = CLI.invoke(app, ["play", "frozen_lake", "--max-new-tokens", "12", "--seed", "3"])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("frozen_lake, instance 3\n")
    assert "--- turn 1: 12 tokens\n" in result.stdout and "wrong format, no step taken; reward -0.1" in result.stdout
    assert result.stdout.rstrip().endswith("format after 1 turns; return -0.1, the best possible is 1")


def test_play_of_an_environment_that_takes_whole_texts_shows_each_once() -> None:
    result = CLI.invoke(app, ["play", "static"])
    assert result.exit_code == 0, result.output
    assert result.stdout.count("</think>") == 1 and "\n--- reward 1\nThis is the right answer.\n" in result.stdout
