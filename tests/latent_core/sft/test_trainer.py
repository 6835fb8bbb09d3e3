"""Training: it learns, resumes where it was killed, merges what it trained, and moves latent rows when asked to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from latent_core.config.training import LatentRows, TrainConfig, TrainMethod
from latent_core.dual import DualVocabulary
from latent_core.errors import InputError
from latent_core.generate.completions import ReadableModel
from latent_core.models.mini_corpus import examples
from latent_core.sft.rank import TrainResult
from latent_core.sft.trainer import train

SETTINGS: dict[str, Any] = {
    "learning_rate": 5e-3, "steps": 6, "batch_size": 4, "micro_batch_size": 4, "max_length": 512,
    "eval_every": 3, "save_every": 3, "dtype": "float32",
}  # fmt: skip


def _table(model: ReadableModel, count: int, start: int = 0) -> pa.Table:
    return pa.Table.from_pylist(list(examples(model.tokenizer, "train", count, (1,), start)))


def _dual_table(model: ReadableModel, count: int) -> pa.Table:
    from latent_core.dual import RemapCounts, remap_row

    assert model.vocabulary is not None
    rows = []
    for row in examples(model.tokenizer, "train", count, (1,)):
        pair = remap_row(row["input_ids"], row["labels"], model.vocabulary, RemapCounts())
        assert pair is not None
        rows.append({"input_ids": pair[0], "labels": pair[1]})
    return pa.Table.from_pylist(rows)


def _weights(directory: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(directory / "model.safetensors"))


def _train(model_dir: Path, table: pa.Table, out: Path, **settings: Any) -> TrainResult:
    config = TrainConfig(**{**SETTINGS, **settings})
    validation = settings.get("validation")
    latents: range | tuple[()] = ()
    if (model_dir / "dual_vocab.json").is_file():
        vocabulary = DualVocabulary.load(model_dir)
        latents = range(vocabulary.visible_size, vocabulary.visible_size + vocabulary.latent_size)
    return train(
        model_dir, table, validation, config, out_dir=out / "out", checkpoint_dir=out / "ck", latent_ids=latents
    )


def test_full_training_lowers_the_loss(plain_dir: Path, plain: ReadableModel, tmp_path: Path) -> None:
    result = _train(plain_dir, _table(plain, 8), tmp_path, method=TrainMethod.FULL, steps=30)
    losses = [entry["loss"] for entry in result.curve if "loss" in entry]
    assert losses[-1] < 0.8 * losses[0]
    assert result.trainable_parameters == result.total_parameters


def test_lora_training_writes_an_adapter_and_a_merged_model_that_agree(
    plain_dir: Path, plain: ReadableModel, tmp_path: Path
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    table = _table(plain, 8)
    result = _train(plain_dir, table, tmp_path)
    assert 0 < result.trainable_parameters < result.total_parameters / 2
    base = AutoModelForCausalLM.from_pretrained(plain_dir, dtype=torch.float32)
    with_adapter = PeftModel.from_pretrained(base, tmp_path / "out/adapter").eval()
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out/model", dtype=torch.float32).eval()
    ids = torch.tensor([table["input_ids"][0].as_py()])
    with torch.inference_mode():
        assert torch.allclose(with_adapter(ids).logits, merged(ids).logits, atol=1e-5)


@pytest.mark.parametrize("latent_rows", list(LatentRows))
def test_latent_rows_leave_their_sources_only_when_trainable(
    dual_dir: Path, dual: ReadableModel, tmp_path: Path, latent_rows: LatentRows
) -> None:
    _train(dual_dir, _dual_table(dual, 8), tmp_path, latent_rows=latent_rows)
    vocabulary = DualVocabulary.load(tmp_path / "out/model")
    table = _weights(tmp_path / "out/model")["model.embed_tokens.weight"]
    mirrors = table[vocabulary.visible_size :]
    sources = table[vocabulary.to_visible(range(vocabulary.visible_size, len(table))).tolist()]
    moved = (mirrors - sources).abs().max().item()
    assert moved > 1e-4 if latent_rows is LatentRows.TRAINABLE else moved == 0.0


def test_trained_latent_rows_lower_the_loss_of_latent_targets(
    dual_dir: Path, dual: ReadableModel, tmp_path: Path
) -> None:
    result = _train(dual_dir, _dual_table(dual, 8), tmp_path, steps=20)
    losses = [entry["loss"] for entry in result.curve if "loss" in entry]
    assert losses[-1] < losses[0]


def test_no_training_examples_raise(plain_dir: Path, plain: ReadableModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no training examples"):
        _train(plain_dir, _table(plain, 1).slice(0, 0), tmp_path)


def test_micro_batch_that_does_not_divide_the_batch_raises(
    plain_dir: Path, plain: ReadableModel, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="micro_batch_size"):
        _train(plain_dir, _table(plain, 4), tmp_path, micro_batch_size=3)
