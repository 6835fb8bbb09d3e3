"""Training: it learns, resumes where it was killed, merges what it trained, and moves latent rows when asked to."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from latent_core.config.training import LatentRows, Layout, LoraVariant, TrainConfig, TrainMethod
from latent_core.dual import DualVocabulary, build_dual, verify_dual
from latent_core.errors import InputError
from latent_core.models.readable import ReadableModel
from latent_core.sft import rank
from latent_core.sft import weights as weights_of_training
from latent_core.sft.mini_corpus import examples
from latent_core.sft.rank import TrainResult
from latent_core.sft.trainer import train
from latent_core.sft.weights import load_model
from tests.support.training_runs import SETTINGS, largest_difference, loss_curve, weights


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


def _train(model_dir: Path, table: pa.Table, out: Path, **settings: Any) -> TrainResult:
    validation = settings.pop("validation", None)
    config = TrainConfig(**{**SETTINGS, **settings})
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


def test_full_training_in_bfloat16_moves_weights_by_less_than_bfloat16_can_tell(
    plain_dir: Path, plain: ReadableModel, tmp_path: Path
) -> None:
    settings = {"method": TrainMethod.FULL, "dtype": "bfloat16", "learning_rate": 1e-6, "steps": 2}
    _train(plain_dir, _table(plain, 8), tmp_path, **settings)
    before, after = weights(plain_dir), weights(tmp_path / "out" / "model")
    moved = [(before[name].float() != after[name]).float().mean().item() for name in before]
    assert min(moved) > 0.05 and max(moved) > 0.9


def test_trained_model_is_out_of_memory_when_training_returns(
    plain_dir: Path, plain: ReadableModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[weakref.ref[Any]] = []

    def load(*args: Any, **options: Any) -> Any:
        model = load_model(*args, **options)
        loaded.append(weakref.ref(model))
        return model

    monkeypatch.setattr(rank, "load_model", load)
    gc.disable()
    try:
        _train(plain_dir, _table(plain, 4), tmp_path, method=TrainMethod.FULL, steps=1)
        assert loaded[0]() is None
    finally:
        gc.enable()


def test_processes_part_before_the_first_of_them_saves(
    plain_dir: Path, plain: ReadableModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch.distributed as distributed

    was_up: list[bool] = []
    monkeypatch.setattr(rank, "save_trained", lambda *_: was_up.append(distributed.is_initialized()))
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    _train(plain_dir, _table(plain, 4), tmp_path, steps=1)
    assert was_up == [False]


def test_weights_leave_the_gpu_before_they_grow_to_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    class Trained:
        def to(self, where: object) -> Trained:
            done.append(str(where))
            return self

        def float(self) -> Trained:
            done.append("float")
            return self

        def merge_and_unload(self) -> Trained:
            done.append("merged")
            return self

        def save_pretrained(self, target: Path) -> None:
            target.mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(weights_of_training, "settle_adapter", lambda _: None)
    model = Trained()
    weights_of_training.save_trained(model, model, TrainConfig(), tmp_path, tmp_path / "out", {})
    assert done.index("cpu") < done.index("float") < done.index("merged")


def test_float32_passes_are_never_given_to_flash_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank, "_has_flash_attention", lambda: True)
    assert rank.resolve_layout(TrainConfig(dtype="float32")) is Layout.PADDED
    assert rank.resolve_layout(TrainConfig(dtype="bfloat16")) is Layout.PACKED


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
    table = weights(tmp_path / "out/model")["model.embed_tokens.weight"]
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


def test_runtime_settings_change_neither_losses_nor_weights(
    plain_dir: Path, plain: ReadableModel, tmp_path: Path
) -> None:
    table, validation = _table(plain, 10), _table(plain, 5, 50)
    settings: dict[str, Any] = {"method": TrainMethod.FULL, "validation": validation}
    plainly = _train(plain_dir, table, tmp_path / "plain", **settings)
    for name, runtime in (
        ("packed", {"layout": Layout.PACKED}),
        ("small passes", {"micro_batch_size": 1}),
        ("checkpointing", {"gradient_checkpointing": True}),
    ):
        other = _train(plain_dir, table, tmp_path / name, **settings, **runtime)
        pairs = list(zip(loss_curve(plainly), loss_curve(other), strict=True))
        assert pairs and all(one[:2] == two[:2] and abs(one[2] - two[2]) < 1e-4 for one, two in pairs), name
        assert largest_difference(tmp_path / "plain/out/model", tmp_path / name / "out/model") < 1e-5, name


def test_checkpointing_changes_neither_an_adapter_nor_latent_rows(
    dual_dir: Path, dual: ReadableModel, tmp_path: Path
) -> None:
    curves = [
        loss_curve(_train(dual_dir, _dual_table(dual, 8), tmp_path / name, gradient_checkpointing=name == "again"))
        for name in ("kept", "again")
    ]
    assert curves[0] and all(abs(one[2] - two[2]) < 1e-4 for one, two in zip(*curves, strict=True))
    assert largest_difference(tmp_path / "kept/out/model", tmp_path / "again/out/model") < 1e-5


def test_evaluation_loss_is_the_mean_over_all_validation_tokens(
    plain_dir: Path, plain: ReadableModel, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    validation = _table(plain, 5, 50)
    result = _train(plain_dir, _table(plain, 8), tmp_path, validation=validation, steps=3, micro_batch_size=2)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out/model", dtype=torch.float32).eval()
    total, tokens = 0.0, 0
    for row in validation.to_pylist():
        count = sum(label != -100 for label in row["labels"])
        with torch.inference_mode():
            loss = model(torch.tensor([row["input_ids"]]), labels=torch.tensor([row["labels"]])).loss
        total, tokens = total + float(loss) * count, tokens + count
    assert result.best_eval_loss == pytest.approx(total / tokens, rel=1e-5)


@pytest.mark.parametrize("variant", list(LoraVariant))
def test_lora_variant_is_trained_merged_and_named_in_the_adapter(
    variant: LoraVariant, plain_dir: Path, plain: ReadableModel, tmp_path: Path
) -> None:
    import torch
    from peft import PeftConfig, PeftModel
    from peft.tuners.lora import LoraLayer
    from transformers import AutoModelForCausalLM

    table = _table(plain, 8)
    _train(plain_dir, table, tmp_path, lora_variant=variant, lora_rank=4, lora_alpha=8)
    saved = PeftConfig.from_pretrained(tmp_path / "out/adapter")
    assert (saved.use_dora, saved.use_rslora) == (variant is LoraVariant.DORA, variant is LoraVariant.RSLORA)
    base = AutoModelForCausalLM.from_pretrained(plain_dir, dtype=torch.float32)
    with_adapter = PeftModel.from_pretrained(base, tmp_path / "out/adapter").eval()
    scaling = {layer.scaling["default"] for layer in with_adapter.modules() if isinstance(layer, LoraLayer)}
    assert scaling == {8 / 4**0.5 if variant is LoraVariant.RSLORA else 2.0}
    magnitudes = any("lora_magnitude_vector" in name for name in weights(tmp_path / "out/adapter"))
    assert magnitudes == (variant is LoraVariant.DORA)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out/model", dtype=torch.float32).eval()
    ids = torch.tensor([table["input_ids"][0].as_py()])
    with torch.inference_mode():
        assert torch.allclose(with_adapter(ids).logits, merged(ids).logits, atol=1e-4)


def test_packed_layout_with_loss_weights_raises(plain_dir: Path, plain: ReadableModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train\.layout: packed knows no loss_weights"):
        _train(plain_dir, _table(plain, 4), tmp_path, layout=Layout.PACKED, loss_weights={"answer": 2.0})


def test_loss_weights_steer_what_is_learnt(plain_dir: Path, plain: ReadableModel, tmp_path: Path) -> None:
    """With no weight on the reasoning its tokens stay as unlikely as they were; the answer's do not."""
    import torch
    from transformers import AutoModelForCausalLM

    table = _table(plain, 4)
    _train(
        plain_dir, table, tmp_path, method=TrainMethod.FULL, steps=20,
        loss_weights={"reasoning": 0.0, "boundary": 0.0, "answer": 1.0},
    )  # fmt: skip
    end = plain.family.think_end_id

    def losses(directory: Path) -> tuple[float, float]:
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
        row = table.to_pylist()[0]
        start, border = next(i for i, label in enumerate(row["labels"]) if label != -100), row["labels"].index(end)
        with torch.inference_mode():
            logs = model(torch.tensor([row["input_ids"]])).logits[0].log_softmax(-1)
        steps = [-float(logs[place - 1, row["input_ids"][place]]) for place in range(start, len(row["labels"]))]
        reasoning, answer = steps[: border - start], steps[border - start + 1 :]
        return sum(reasoning) / len(reasoning), sum(answer) / len(answer)

    before, after = losses(plain_dir), losses(tmp_path / "out/model")
    assert after[1] < 0.6 * before[1] and after[0] > 0.9 * before[0]


def test_visible_rows_that_learn_are_as_many_as_a_full_copys_latents(
    plain_dir: Path, plain: ReadableModel, dual_dir: Path, dual: ReadableModel, tmp_path: Path
) -> None:
    """The control of the latent rows: equal numbers of parameters that learn, of other rows."""
    frozen = _train(plain_dir, _table(plain, 4), tmp_path / "frozen", steps=1).trainable_parameters
    standard = _train(plain_dir, _table(plain, 4), tmp_path / "standard", steps=1, visible_rows="trainable")
    with_latents = _train(dual_dir, _dual_table(dual, 4), tmp_path / "dual", steps=1)
    assert dual.vocabulary is not None
    assert standard.trainable_parameters == with_latents.trainable_parameters
    assert standard.trainable_parameters - frozen == dual.vocabulary.latent_size * 64  # the tiny model's hidden size


def test_visible_rows_move_in_embedding_and_tied_head_and_marks_stay(
    plain_dir: Path, plain: ReadableModel, tmp_path: Path
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    table = _table(plain, 8)
    _train(plain_dir, table, tmp_path, visible_rows="trainable")
    before, after = weights(plain_dir), weights(tmp_path / "out/model")
    moved = (before["model.embed_tokens.weight"] - after["model.embed_tokens.weight"]).abs().amax(dim=1) > 1e-5
    family = plain.family
    assert not moved[[family.think_start_id, family.think_end_id, *family.stop_ids]].any()
    seen = {token for row in table["input_ids"].to_pylist() for token in row}
    assert all(moved[sorted(seen - {family.think_start_id, family.think_end_id, *plain.tokenizer.all_special_ids})])
    base = AutoModelForCausalLM.from_pretrained(plain_dir, dtype=torch.float32)
    with_adapter = PeftModel.from_pretrained(base, tmp_path / "out/adapter").eval()
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out/model", dtype=torch.float32).eval()
    assert merged.get_output_embeddings().weight.equal(merged.get_input_embeddings().weight)
    ids = torch.tensor([table["input_ids"][0].as_py()])
    with torch.inference_mode():
        assert torch.allclose(with_adapter(ids).logits, merged(ids).logits, atol=1e-5)


def test_latents_of_moved_sources_are_no_copies_any_more(dual_dir: Path, dual: ReadableModel, tmp_path: Path) -> None:
    settings = {"visible_rows": "trainable", "latent_rows": LatentRows.FROZEN, "steps": 2}
    _train(dual_dir, _dual_table(dual, 4), tmp_path, **settings)
    assert DualVocabulary.load(tmp_path / "out/model").latents_trained
    assert verify_dual(tmp_path / "out/model", new_tokens=4).ok


def test_frozen_latents_of_a_permuted_model_stay_as_they_were_built(
    plain_dir: Path, dual: ReadableModel, tmp_path: Path
) -> None:
    build_dual(plain_dir, tmp_path / "permuted", initial="permuted")
    _train(tmp_path / "permuted", _dual_table(dual, 4), tmp_path, latent_rows=LatentRows.FROZEN, steps=2)
    report = verify_dual(tmp_path / "out/model", new_tokens=4)
    assert report.ok and any("permuted" in line for line in report.lines())


def test_visible_rows_of_a_full_training_are_refused() -> None:
    with pytest.raises(ValidationError, match="visible_rows: method full trains every row anyway"):
        TrainConfig(method=TrainMethod.FULL, visible_rows="trainable")  # type: ignore[arg-type]
