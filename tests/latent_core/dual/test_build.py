"""Building dual models from tiny bases, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from latent_core.dual import DualVocabulary, build_dual, verify_dual


def tensors(directory: Path) -> dict[str, torch.Tensor]:
    return {
        name: tensor for path in sorted(directory.glob("*.safetensors")) for name, tensor in load_file(path).items()
    }


@pytest.mark.parametrize("kind", ["qwen3", "llama"])
def test_build_full_copy_mirrors_every_row_exactly(make_base, tmp_path: Path, kind: str) -> None:
    base = make_base(kind, dtype=torch.bfloat16)
    report = build_dual(base, tmp_path / "dual")
    vocabulary = DualVocabulary.load(tmp_path / "dual")
    old, new = tensors(base), tensors(tmp_path / "dual")
    tables = [name for name in old if "embed_tokens" in name or "lm_head" in name]
    assert len(tables) == (1 if kind == "qwen3" else 2) and old.keys() == new.keys()
    for name, tensor in old.items():
        assert new[name].dtype == torch.bfloat16
        assert torch.equal(new[name][: len(tensor)], tensor)
        if name in tables:
            assert new[name].shape == (vocabulary.size, 32)
            assert torch.equal(new[name][vocabulary.visible_size :], tensor[list(vocabulary.source_ids)])
    assert report.visible_size == report.base_rows == len(old[tables[0]]) and report.added_tokens == ()
    assert report.dtype == "bfloat16" and report.tied == (kind == "qwen3")


def test_build_full_copy_leaves_out_eos_specials_think_and_padding(make_base, tmp_path: Path) -> None:
    base = make_base(padding=5)
    tokenizer = AutoTokenizer.from_pretrained(base)
    report = build_dual(base, tmp_path / "dual")
    banned = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>"])
    padding = list(range(len(tokenizer), len(tokenizer) + 5))
    assert not report.vocabulary.has_mirror(banned + padding).any()
    assert report.latent_size == report.visible_size - len(banned) - 5
    assert report.excluded == {"think": 2, "eos": 1, "special": 2, "padding": 5}
    assert report.vocabulary.eos_ids == (tokenizer.eos_token_id,)


def test_build_output_loads_with_stock_classes_and_answers_like_the_base(make_base, tmp_path: Path) -> None:
    base = make_base("llama")
    report = build_dual(base, tmp_path / "dual")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "dual").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "dual")
    assert model.config.vocab_size == report.vocabulary.size and model.config.dual_vocab["version"] == 1
    assert len(tokenizer) == len(AutoTokenizer.from_pretrained(base)) and tokenizer.chat_template
    ids = torch.tensor([tokenizer.encode("7 + 12 = 19")])
    latent = torch.from_numpy(report.vocabulary.to_latent(ids))
    with torch.no_grad():
        expected = AutoModelForCausalLM.from_pretrained(base).eval()(ids).logits
        seen, thought = model(ids).logits, model(latent).logits
    torch.testing.assert_close(seen[..., : report.visible_size], expected)
    torch.testing.assert_close(thought, seen)
    torch.testing.assert_close(
        seen[..., report.visible_size :], expected[..., torch.tensor(report.vocabulary.source_ids)]
    )


def test_build_sharded_base_keeps_shards_and_fixes_the_index(make_base, tmp_path: Path) -> None:
    base = make_base("llama", shard="30KB")
    assert len(list(base.glob("*.safetensors"))) > 2
    build_dual(base, tmp_path / "dual")
    index = json.loads((tmp_path / "dual" / "model.safetensors.index.json").read_text())
    stored = tensors(tmp_path / "dual")
    assert index["metadata"]["total_size"] == sum(t.numel() * t.element_size() for t in stored.values())
    assert verify_dual(tmp_path / "dual", new_tokens=4).ok


@pytest.mark.parametrize("kind", ["qwen3", "llama"])
@pytest.mark.parametrize("missing", ["add", "clone_eos"])
@pytest.mark.parametrize("padding", [0, 1, 5])
def test_build_missing_think_tokens_are_added_plain(
    make_base, tmp_path: Path, kind: str, missing: str, padding: int
) -> None:
    base = make_base(kind, think="none", padding=padding)
    report = build_dual(base, tmp_path / "dual", think_missing=missing)
    before, tokenizer = AutoTokenizer.from_pretrained(base), AutoTokenizer.from_pretrained(tmp_path / "dual")
    assert report.added_tokens == ("<think>", "</think>")
    assert report.think_ids == (len(before), len(before) + 1)
    assert report.visible_size == max(report.base_rows, len(before) + 2)
    text = "<think>\nSeven.</think>\n\n19"
    assert tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True) == text
    eos = before.eos_token_id
    for name, new in tensors(tmp_path / "dual").items():
        if "embed_tokens" in name or "lm_head" in name:
            old = tensors(base)[name][: len(before)].double()
            rows = new[list(report.think_ids)].double()
            centre, spread = (
                (old.mean(0), old.std(0, correction=0)) if missing == "add" else (old[eos], old[eos].abs().mean())
            )
            noise = (rows - centre) / (0.01 * spread)
            assert 0.6 < float(noise.std()) < 1.5 and float(noise.abs().max()) < 5
            assert not torch.equal(rows[0], rows[1])
    assert verify_dual(tmp_path / "dual", new_tokens=8).ok


def test_build_same_seed_same_bytes_other_seed_other_rows(make_base, tmp_path: Path) -> None:
    base = make_base(think="none")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        build_dual(base, tmp_path / name, think_missing="add", seed=seed)
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b and a != c


def test_build_special_think_pair_becomes_plain(make_base, tmp_path: Path) -> None:
    base = make_base(think="special")
    report = build_dual(base, tmp_path / "dual")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "dual")
    assert report.added_tokens == ()
    assert "</think>" in tokenizer.decode(tokenizer.encode("<think>a</think>b"), skip_special_tokens=True)
    assert verify_dual(tmp_path / "dual", new_tokens=0).ok


def test_build_subset_by_pattern_reads_decoded_text(make_base, tmp_path: Path) -> None:
    base = make_base()
    tokenizer = AutoTokenizer.from_pretrained(base)
    report = build_dual(base, tmp_path / "dual", mode="subset", subset_pattern=r"^ ")
    texts = [tokenizer.decode([source]) for source in report.vocabulary.source_ids]
    assert texts and all(text.startswith(" ") for text in texts)
    assert verify_dual(tmp_path / "dual", new_tokens=4).ok


def test_build_subset_by_ids_counts_what_may_not_be_mirrored(make_base, tmp_path: Path) -> None:
    base = make_base()
    tokenizer = AutoTokenizer.from_pretrained(base)
    ids = [40, 30, 40, tokenizer.eos_token_id, len(tokenizer) + 1]
    report = build_dual(base, tmp_path / "dual", mode="subset", subset_ids=ids)
    assert report.vocabulary.source_ids == (30, 40)
    assert report.excluded == {"think": 0, "eos": 1, "special": 0, "padding": 1}


@pytest.mark.parametrize("kind", ["qwen3", "llama"])
def test_build_custom_tokens_with_and_without_source(make_base, tmp_path: Path, kind: str) -> None:
    base = make_base(kind)
    tokenizer = AutoTokenizer.from_pretrained(base)
    report = build_dual(base, tmp_path / "dual", mode="custom", custom_tokens=["x", " two steps\n", "\n"])
    x, newline = (tokenizer.encode(text)[0] for text in ("x", "\n"))
    assert report.vocabulary.source_ids == (x, -1, newline)
    assert verify_dual(tmp_path / "dual", new_tokens=4).ok
    latents = np.arange(report.visible_size, report.vocabulary.size)
    assert report.vocabulary.decode(latents, tokenizer) == "x two steps\n\n"


def test_build_custom_embeddings_are_stored_as_given(make_base, tmp_path: Path) -> None:
    base = make_base("llama")
    rows = np.random.default_rng(0).standard_normal((2, 32)).astype(np.float32)
    report = build_dual(base, tmp_path / "dual", mode="custom", custom_tokens=["x", "yy zz"], custom_embeddings=rows)
    assert report.vocabulary.source_ids == (-1, -1)
    for name, tensor in tensors(tmp_path / "dual").items():
        if "embed_tokens" in name or "lm_head" in name:
            assert (tensor[-2:].numpy() == rows).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"think_missing": "error"}, "think_missing"),
        ({"think_missing": "perhaps"}, "think_missing"),
        ({"mode": "half"}, "mode"),
        ({"mode": "subset"}, "subset_ids"),
        ({"mode": "full_copy", "subset_ids": [3]}, "subset_ids"),
        ({"mode": "subset", "subset_ids": [10_000]}, "subset_ids"),
        ({"mode": "subset", "subset_pattern": "("}, "subset_pattern"),
        ({"mode": "subset", "subset_pattern": "no such text"}, "subset_pattern"),
        ({"mode": "custom", "custom_tokens": ["a a", "a a"]}, "custom_tokens"),
        ({"mode": "custom", "custom_tokens": ["<|im_end|>"]}, "custom token"),
        ({"mode": "custom", "custom_tokens": ["a a"], "custom_embeddings": np.zeros((2, 32))}, "custom_embeddings"),
    ],
)
def test_build_bad_arguments_raise_and_leave_nothing(make_base, tmp_path: Path, arguments, message: str) -> None:
    base = make_base(think="none")
    with pytest.raises(ValueError, match=message):
        build_dual(base, tmp_path / "dual", **{"think_missing": "add", **arguments})
    assert [path.name for path in tmp_path.iterdir()] == [base.name]


def test_build_damaged_base_or_full_target_raises(make_base, tmp_path: Path) -> None:
    base = make_base()
    build_dual(base, tmp_path / "dual")
    with pytest.raises(ValueError, match="not empty"):
        build_dual(base, tmp_path / "dual")
    with pytest.raises(ValueError, match="dual model already"):
        build_dual(tmp_path / "dual", tmp_path / "again")
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cut short"):
        build_dual(base, tmp_path / "again")


def test_build_failed_write_leaves_nothing(make_base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = make_base()

    def full_disk(*_: object) -> int:
        raise OSError("no space left")

    monkeypatch.setattr("latent_core.dual.tensor_rows.rewrite_file", full_disk)
    with pytest.raises(OSError, match="no space"):
        build_dual(base, tmp_path / "dual")
    assert [path.name for path in tmp_path.iterdir()] == [base.name]


def test_decode_reads_latents_and_keeps_think_end(make_base, tmp_path: Path) -> None:
    base = make_base(think="special")
    vocabulary = build_dual(base, tmp_path / "dual").vocabulary
    tokenizer = AutoTokenizer.from_pretrained(base)  # still calls the pair special
    thought, answer = tokenizer.encode("café 日本"), tokenizer.encode(" 19<|im_end|>")
    ids = [vocabulary.think_start_id, *vocabulary.to_latent(thought), vocabulary.think_end_id, *answer]
    assert vocabulary.decode(ids, tokenizer) == "<think>café 日本</think> 19"
    marked = vocabulary.decode(ids, tokenizer, mark_latent=("[", "]"), skip_special_tokens=False)
    assert marked == "<think>[café 日本]</think> 19<|im_end|>"


def test_user_text_never_becomes_a_latent_id(make_base, tmp_path: Path) -> None:
    vocabulary = build_dual(make_base(), tmp_path / "dual").vocabulary
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "dual")
    for text in ("<|latent_5|>", "<latent_0>", "".join(map(chr, range(1, 600)))):
        assert not vocabulary.is_latent(tokenizer.encode(text)).any()
