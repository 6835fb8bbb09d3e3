"""Every command of the documentation: run where it can be, else its names, flags and parameters are checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from flows.cli.main import app
from flows.launch.parameters import load
from flows.launch.registry import find_flow
from latent_core.config.reevaluate import ReevaluateConfig
from tests.support.pages import ROOT, Block, all_blocks, commands

SHELL = all_blocks("bash", "sh")
OTHERS = set("apt-get curl dask diff docker export git kubectl mlflow pip pre-commit ray runuser sbatch sed".split())


def _check_latent(words: list[str]) -> None:
    """Parse the line as `latent` does, with its flow's file, parameters and stages."""
    command: Any = get_command(app)
    context, rest = None, words[1:]
    while hasattr(command, "commands"):
        context = command.make_context("latent", list(rest), parent=context)
        _, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
    options = command.make_context("latent", list(rest), parent=context).params
    overrides = options.get("overrides", ())
    if words[1] == "eval":
        load(ReevaluateConfig, None, ["evaluate.sampling={}", *overrides])
    if "flow" in options and "config" in options:
        config = None if options["config"] is None else ROOT / options["config"]
        load(find_flow(options["flow"]).config, config, overrides)
        stages = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tasks").glob("*.py"))
        assert all(f'"{stage}"' in stages for stage in options.get("force", ()))


def _check_make(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in words[1:]:
        variable, is_set, _ = word.partition("=")
        assert f"$({variable})" in makefile if is_set else re.search(rf"^{word}:.*## ", makefile, re.MULTILINE)


def _check_python(words: list[str]) -> None:
    """A module of ours has each flag that it is given; of other modules only the name is looked at."""
    module = next((word for word in words if word.startswith(("bench", "tests."))), None)
    if module is not None:
        path = ROOT / module.replace(".", "/")
        source = (path / "__main__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")
        flags = {word.partition("=")[0] for word in words if word.startswith("--")} - {"--json"}
        assert all(f'"{flag}"' in source for flag in flags), flags


def _check_prefect(words: list[str]) -> None:
    """Deployments, files and automations that it names are there."""
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    if words[1:3] == ["deployment", "run"] and not re.search(r"[A-Z]", words[3]):
        assert words[3].rpartition("/")[2] in {item["name"] for item in deployments}
    for word in words:
        if word.startswith(("deployments/", "flows/")):
            assert (ROOT / word.partition(":")[0]).exists(), word


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "latent": _check_latent,
    "make": _check_make,
    "python": _check_python,
    "python3": _check_python,
    "prefect": _check_prefect,
}


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.place)
def test_commands_of_a_block_have_the_names_and_flags_that_it_gives_them(block: Block) -> None:
    found = list(commands(block))
    assert found
    for words in found:
        program = Path(words[0]).name
        assert program in CHECKS or program in OTHERS, f"{program}: unknown program; teach this test about it"
        if program in CHECKS:
            CHECKS[program](words)


def test_block_that_is_not_run_says_why() -> None:
    for block in SHELL:
        assert block.note in ("",) or re.fullmatch(r"not run: .{10,}", block.note), f"{block.place}: {block.note}"


def test_commands_that_can_be_run_do(prefect_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, each once, in a folder that looks like a checkout."""
    monkeypatch.chdir(tmp_path)
    for name in ("deployments", "README.md"):
        (tmp_path / name).symlink_to(ROOT / name)
    done: list[list[str]] = []
    for block in SHELL:
        for words in commands(block) if block.is_run else ():
            assert words[0] == "latent", f"{block.place}: mark what is not run, and say why: {words}"
            if words not in done:
                result = CliRunner().invoke(app, words[1:])
                assert result.exit_code == 0, f"{block.place}: {words}\n{result.output}\n{result.exception}"
                done.append(words)
    assert len(done) > 15


FREE = [block for block in all_blocks("python") if not block.note.startswith("file: ")]


@pytest.mark.parametrize("block", FREE, ids=lambda block: block.place)
def test_python_block_runs(block: Block) -> None:
    exec(compile(block.text, block.place, "exec"), {"__name__": "example"})
