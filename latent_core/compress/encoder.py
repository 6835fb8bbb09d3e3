"""The token classifier behind the compressor: loading it honestly, and P(keep) of every token in batches."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latent_core.compress.words import TokenFamily, detokenize
from latent_core.errors import InputError
from latent_core.loading import NO_CODE, SAFE

REFERENCE_WINDOW = 512  # llmlingua 0.2.2, `max_seq_len`
REFERENCE_BATCH = 50  # llmlingua 0.2.2, `max_batch_size`
# On CPU small batches stay in cache: 8,192 tokens a batch took 1.5 to 2 times as long as 1,024.
CPU_BATCH_TOKENS = 1_024
GPU_BATCH_TOKENS = 32_768
_REFERENCE_SEED = 42
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model")
_KEEP = 1  # LLMLingua-2's label of a token to keep


class TokenClassifier:
    """A two-label token classifier with its tokenizer, in evaluation mode, in float32 on every device.

    A device is no part of a result's identity, and in bfloat16 probabilities tie that decide which words stay: of 25
    paragraphs at a ratio of 0.5 the packaged compressor shortened 9 differently.

    `tokenizer` and `model` are transformers objects. Raises InputError when `model_dir` is not a directory that holds
    a complete token classifier of two labels whose tokenizer is WordPiece or SentencePiece (metaspace).
    """

    def __init__(self, model_dir: str | os.PathLike[str], device: str | None = None) -> None:
        self.model_dir = Path(model_dir)
        check_token_classifier(self.model_dir)
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForTokenClassification, AutoTokenizer

        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(self.model_dir, **NO_CODE)
            self.model, loading = AutoModelForTokenClassification.from_pretrained(
                self.model_dir, dtype=torch.float32, output_loading_info=True, **SAFE
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise InputError(
                f"model_dir: {self.model_dir} cannot be loaded ({str(error).splitlines()[0]}); it needs config.json, a "
                "tokenizer and the weights of one model"
            ) from error
        absent = sorted(str(key) for kind in ("missing_keys", "mismatched_keys") for key in loading[kind])
        if absent:
            raise InputError(
                f"model_dir: {self.model_dir} lacks weights for {', '.join(absent[:3])}, which would be random; "
                "use a directory saved from a trained token classifier"
            )
        self.model.eval().to(self.device)
        self.special_tokens = frozenset(self.tokenizer.special_tokens_map.values())
        self.family = _family(self.tokenizer, self.model_dir)
        self.window = min(REFERENCE_WINDOW, _positions(self.model.config))

    @property
    def batch_tokens(self) -> int:
        """Tokens a batch that suit the device."""
        return CPU_BATCH_TOKENS if self.device.type == "cpu" else GPU_BATCH_TOKENS

    def add_placeholders(self, names: Sequence[str]) -> None:
        """Add special tokens and embedding rows for them as llmlingua does: drawn after seeding with 42.

        The encoder reads these untrained rows. transformers draws them very close to the mean row, so the seed hardly
        matters, but without one the scores would differ from run to run. The caller's random state is left alone.
        """
        import torch

        self.tokenizer.add_special_tokens({"additional_special_tokens": list(names)})
        self.model.to("cpu")
        with torch.random.fork_rng():
            torch.manual_seed(_REFERENCE_SEED)
            self.model.resize_token_embeddings(len(self.tokenizer))
        self.model.to(self.device)

    def tokenize(self, texts: Sequence[str]) -> list[list[str]]:
        """Tokens of each text, without special tokens, untruncated."""
        return [encoding.tokens for encoding in self.encodings(texts)]

    def encodings(self, texts: Sequence[str]) -> list[Any]:
        """`tokenizers.Encoding` of each text (tokens, ids, offsets), without special tokens, untruncated."""
        backend = self.tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        encodings: list[Any] = backend.encode_batch(list(texts), add_special_tokens=False)
        return encodings

    def keep_probabilities(
        self, rows: Sequence[Sequence[int]], visible: Sequence[NDArray[np.bool_]], pad_id: int, batch_tokens: int
    ) -> list[NDArray[np.float32]]:
        """P(keep) of every visible token of every row, float32; rows of similar length share a batch.

        `visible` masks tokens that the encoder must not attend to; they get no probability. A batch holds at most
        `batch_tokens` positions, padding included, and at least one row.
        """
        results: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(rows)
        batch: list[int] = []
        for index in sorted(range(len(rows)), key=lambda row: len(rows[row])):
            if batch and (len(batch) + 1) * len(rows[index]) > batch_tokens:
                self._forward(batch, rows, visible, pad_id, results)
                batch = []
            batch.append(index)
        if batch:
            self._forward(batch, rows, visible, pad_id, results)
        return results

    def keep_probabilities_as_reference(
        self, rows: Sequence[Sequence[int]], visible: Sequence[NDArray[np.bool_]], pad_id: int, texts: Sequence[int]
    ) -> list[NDArray[np.float32]]:
        """The same in the reference's shapes: one text a batch, at most 50 rows, all padded to the full window.

        `texts` names the text of each row; the rows of one text are adjacent.
        """
        results: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(rows)
        batch: list[int] = []
        for index, text in enumerate(texts):
            if batch and (texts[batch[0]] != text or len(batch) == REFERENCE_BATCH):
                self._forward(batch, rows, visible, pad_id, results, self.window)
                batch = []
            batch.append(index)
        if batch:
            self._forward(batch, rows, visible, pad_id, results, self.window)
        return results

    def _forward(
        self,
        batch: Sequence[int],
        rows: Sequence[Sequence[int]],
        visible: Sequence[NDArray[np.bool_]],
        pad_id: int,
        results: list[NDArray[np.float32]],
        width: int | None = None,
    ) -> None:
        import torch

        width = width or max(len(rows[index]) for index in batch)
        ids = torch.full((len(batch), width), pad_id, dtype=torch.long)
        mask = torch.zeros((len(batch), width), dtype=torch.bool)
        for line, index in enumerate(batch):
            ids[line, : len(rows[index])] = torch.tensor(rows[index], dtype=torch.long)
            mask[line, : len(rows[index])] = torch.from_numpy(visible[index])
        with torch.inference_mode():
            logits = self.model(input_ids=ids.to(self.device), attention_mask=mask.to(self.device)).logits
            probabilities = torch.softmax(logits, dim=-1)[:, :, _KEEP].float().cpu()
        if not torch.isfinite(probabilities[mask]).all():
            raise InputError(f"model_dir: {self.model_dir} computes no numbers; its weights are damaged or too large")
        for line, index in enumerate(batch):
            results[index] = probabilities[line][mask[line]].numpy()


def check_token_classifier(model_dir: Path, field: str = "model_dir") -> None:
    """Raise InputError, naming the parameter, unless the config is that of a token classifier of two labels."""
    config_file = model_dir / "config.json"
    if not config_file.is_file():
        raise InputError(f"{field}: {model_dir} holds no config.json; give the directory of a token classifier")
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{field}: {config_file} is not JSON ({error}); save the model again") from error
    if not isinstance(config, dict):
        raise InputError(f"{field}: {config_file} holds no object; save the model again")
    if not any((model_dir / name).is_file() for name in _TOKENIZER_FILES):  # transformers would make up an empty one
        raise InputError(f"{field}: {model_dir} holds no tokenizer ({' or '.join(_TOKENIZER_FILES)})")
    architectures = config.get("architectures") or []
    if not any(str(name).endswith("ForTokenClassification") for name in architectures):
        found = ", ".join(map(str, architectures)) or "none"
        raise InputError(
            f"{field}: {model_dir} is not a token classifier (architectures: {found}); compression needs a trained "
            "*ForTokenClassification"
        )
    labels = len(config.get("id2label") or {0: "", 1: ""})  # transformers writes no id2label for its default of two
    if labels != 2:
        raise InputError(f"{field}: {model_dir} has {labels} labels; compression needs two, drop (0) and keep (1)")


def _positions(config: Any) -> int:
    # RoBERTa's position ids begin after the padding index, so its table has padding_idx + 1 rows more than positions.
    offset = config.pad_token_id + 1 if "roberta" in config.model_type else 0
    return int(config.max_position_embeddings) - offset


def _family(tokenizer: Any, model_dir: Path) -> TokenFamily:
    """The family of the tokenizer's decoder, checked against our own joining of words."""
    family = {"WordPiece": TokenFamily.WORDPIECE, "Metaspace": TokenFamily.METASPACE}.get(
        type(tokenizer.backend_tokenizer.decoder).__name__
    )
    if family is None:
        raise InputError(
            f"model_dir: the tokenizer of {model_dir} is neither WordPiece nor SentencePiece (metaspace); LLMLingua-2 "
            "defines no words for it"
        )
    probe = ["▁He", "##llo", "▁don", "'", "t", "▁stop", ".", "##▁", "n't", "x▁y"]
    if tokenizer.convert_tokens_to_string(probe) != detokenize(probe, family):
        raise InputError(
            f"model_dir: the tokenizer of {model_dir} joins tokens unlike any {family} tokenizer known here; use one "
            "with the standard decoder"
        )
    return family
