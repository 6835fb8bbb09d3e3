"""Nothing that came with a model is executed: no pickled weights, no code of its own."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import latent_core
from latent_core.errors import InputError
from latent_core.loading import SAFE
from latent_core.models.source import ADAPTER_CONFIG, open_model

PACKAGES = Path(latent_core.__file__).parent.parent


class _Bomb:
    """Pickles to a call that leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return Path.write_text, (self._path, "executed")  # type: ignore[return-value]


def _copy_of_mini(folder: Path) -> Path:
    return Path(shutil.copytree(open_model("latent-mini").directory, folder / "model"))


def test_pickled_weights_are_not_read_even_where_they_are_all_there_is(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model, mark = _copy_of_mini(tmp_path), tmp_path / "mark"
    for path in model.glob("*.safetensors"):
        path.unlink()
    torch.save({"weight": _Bomb(mark)}, model / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"at least one \.safetensors file"):
        open_model(str(model))
    with pytest.raises(OSError, match="safetensors"):
        AutoModelForCausalLM.from_pretrained(model, **SAFE)
    assert not mark.exists()


def test_code_of_a_model_is_not_run(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model, mark = _copy_of_mini(tmp_path), tmp_path / "mark"
    config = json.loads((model / "config.json").read_text())
    config |= {"model_type": "of_its_own", "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.M"}}
    (model / "config.json").write_text(json.dumps(config))
    (model / "own.py").write_text(f"open({str(mark)!r}, 'w').close()")
    with pytest.raises(ValueError, match="trust_remote_code"):
        AutoModelForCausalLM.from_pretrained(model, **SAFE)
    assert not mark.exists()


def test_pickled_adapter_is_refused(tmp_path: Path) -> None:
    (tmp_path / ADAPTER_CONFIG).write_text(json.dumps({"base_model_name_or_path": "latent-mini"}))
    (tmp_path / "adapter_model.bin").write_bytes(b"pickle")
    with pytest.raises(InputError, match=r"no adapter_model\.safetensors; pickled weights are not read"):
        open_model(str(tmp_path))


def _loads() -> Iterator[tuple[str, ast.Call]]:
    """Every call of `from_pretrained` on one of transformers' auto classes."""
    for package in ("latent_core", "tasks", "flows"):
        for path in sorted((PACKAGES / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".from_pretrained"):
                    owner = ast.unparse(node.func).rsplit(".", 1)[0]
                    if owner.startswith("Auto"):
                        yield f"{path.name}:{node.lineno}", node


def test_every_load_says_that_it_is_a_safe_one() -> None:
    loads = dict(_loads())
    assert len(loads) >= 14
    for where, call in loads.items():
        wanted = "SAFE" if "Model" in ast.unparse(call.func) else "NO_CODE"
        assert wanted in [ast.unparse(item.value) for item in call.keywords if item.arg is None], where


def test_no_module_reads_pickles() -> None:
    for package in ("latent_core", "tasks", "flows"):
        for path in (PACKAGES / package).rglob("*.py"):
            source = path.read_text(encoding="utf-8")
            for word in ("import pickle", "torch.load(", "allow_pickle=True", "trust_remote_code=True", "joblib"):
                assert word not in source, f"{path.name}: {word}"
