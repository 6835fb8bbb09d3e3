"""How a model is read goes with it into what is built and trained from it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from latent_core.config.chat import ChatConfig
from latent_core.config.training import TrainConfig, TrainMethod
from latent_core.dual import build_dual
from latent_core.models.chat import open_chat_model
from latent_core.models.family import ChatFamily
from latent_core.models.readable import ReadableModel
from latent_core.models.tokens import encode
from latent_core.prompts import render_prompt, render_target
from latent_core.sft.trainer import train
from tests.support import conversations as written

TOLD = ChatConfig(date="2020-02-29")


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model whose template shows the day, read at one that is not the default."""
    monkeypatch.setenv("LATENT_CACHE", str(tmp_path / "cache"))
    model = written.model_dir_of(tmp_path / "base", written.tokenizer_of(written.SMOLLM3))
    return open_chat_model(str(model), TOLD).directory


def trained(base: Path, out: Path, method: TrainMethod) -> ChatFamily:
    model = ReadableModel.load(base)
    prompt, target = render_prompt("Q", model.tokenizer, model.family), render_target("R", "7", model.family)
    ids = [encode(text, model.tokenizer) for text in (prompt, target)]
    row = {"input_ids": ids[0] + ids[1], "labels": [-100] * len(ids[0]) + ids[1]}
    config = TrainConfig(method=method, steps=1, batch_size=1, micro_batch_size=1)
    train(base, pa.Table.from_pylist([row]), None, config, out_dir=out, checkpoint_dir=out / "checkpoints")
    return ReadableModel.load(out / "model").family


@pytest.mark.parametrize("method", list(TrainMethod))
def test_trained_model_is_read_as_its_base(base: Path, tmp_path: Path, method: TrainMethod) -> None:
    family = trained(base, tmp_path / "out", method)
    assert family == ReadableModel.load(base).family
    assert family.date == "2020-02-29"


def test_dual_model_is_read_at_its_bases_day(base: Path, tmp_path: Path) -> None:
    build_dual(base, tmp_path / "dual")
    model = ReadableModel.load(tmp_path / "dual")
    assert model.family.thinks and "29 February 2020" in render_prompt("Q", model.tokenizer, model.family)
