"""A causal language model as a measure of text: the log-probability of every token, given what stands before it."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latent_core.compress.spans import split_units
from latent_core.errors import InputError
from latent_core.loading import NO_CODE, SAFE

if TYPE_CHECKING:
    import torch

_LN2 = float(np.log(2))
_CAUSAL_HEADS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
_LEAST_ROOM = 2  # tokens of a window: one read before, one new


def check_causal(model_dir: Path, field: str) -> None:
    """Raise InputError, naming the parameter, unless the config is that of a causal language model.

    transformers would give an encoder a head of random weights, and its scores would look like any other's.
    """
    config_file = model_dir / "config.json"
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
        architectures = [str(name) for name in config.get("architectures") or []]
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"{field}: {config_file} cannot be read ({error}); give the directory of a causal LM"
        ) from error
    if not any(name.endswith(_CAUSAL_HEADS) for name in architectures):
        found = ", ".join(architectures) or "none"
        raise InputError(
            f"{field}: {model_dir} is no causal language model (architectures: {found}); name one, such as latent-mini"
        )


class CausalScorer:
    """The causal language model in `causal_lm_dir` with its tokenizer, in evaluation mode, in float32 on every device.

    What it measures decides which words stay, and a device is no part of a result's identity (see `TokenClassifier`).
    Raises InputError when the directory holds no model.
    """

    def __init__(self, causal_lm_dir: str | os.PathLike[str], device: str | None = None) -> None:
        if not Path(causal_lm_dir, "config.json").is_file():
            raise InputError(f"causal_lm_dir: {causal_lm_dir} holds no config.json; give the directory of a causal LM")
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.tokenizer: Any = AutoTokenizer.from_pretrained(causal_lm_dir, **NO_CODE)
        self._model: Any = AutoModelForCausalLM.from_pretrained(causal_lm_dir, dtype=torch.float32, **SAFE)
        self._model.eval().to(self._device)
        self.context = int(self._model.config.max_position_embeddings)

    def ids(self, text: str) -> list[int]:
        """Token ids of `text`; special tokens in it are recognised, none are added."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def opening(self, text: str) -> list[int]:
        """Token ids of the text that a row begins with: a start token stands before it once, where the model has one.

        Rendered conversations often bring it along; the tokenizer would put another before it.
        """
        start = self.tokenizer.bos_token
        if start is not None and text.startswith(start):
            return self.ids(text)
        ids: list[int] = self.tokenizer(text)["input_ids"]
        return ids

    def start_token(self) -> int | None:
        """The id that stands before a text: the beginning token, else the end token; None when there is neither."""
        named = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, self._model.config.bos_token_id)
        return next((token for token in named if token is not None), None)

    def log_probabilities(self, rows: Sequence[Sequence[int]], batch_tokens: int) -> Iterator[tuple[int, Any]]:
        """Yield (row, log P of each of its tokens but the first), natural log, shape (tokens - 1,), shortest row first.

        Rows of similar length share a batch of at most `batch_tokens` positions, and at least one row.
        """
        import torch

        for batch in length_batches([len(row) for row in rows], batch_tokens):
            ids = _padded([rows[index] for index in batch])
            with torch.inference_mode():
                logits = self._model(input_ids=ids.to(self._device)).logits[:, :-1].float()
                targets = ids[:, 1:, None].to(self._device)
                chosen = torch.gather(torch.log_softmax(logits, dim=-1), 2, targets)[:, :, 0].double().cpu().numpy()
            for line, index in enumerate(batch):
                yield index, chosen[line, : len(rows[index]) - 1]

    def log_probabilities_after(
        self, opening: Sequence[int], rows: Sequence[Sequence[int]], batch_tokens: int
    ) -> Iterator[tuple[int, Any]]:
        """Yield (row, log P of each of its tokens after the opening and what stands before it), shape (tokens,).

        The opening (at least one token) is read once for all rows. Else as `log_probabilities`.
        """
        import torch

        with torch.inference_mode():
            read = self._model(input_ids=torch.tensor([opening]).to(self._device), use_cache=True)
            first = read.logits[:, -1:].float()
        for batch in length_batches([len(row) for row in rows], batch_tokens):
            ids = _padded([rows[index] for index in batch])
            with torch.inference_mode():
                cache = copy.deepcopy(read.past_key_values)  # the model appends to it
                cache.batch_repeat_interleave(len(batch))
                later = self._model(input_ids=ids.to(self._device), past_key_values=cache).logits[:, :-1].float()
                logits = torch.cat([first.expand(len(batch), -1, -1), later], dim=1)
                targets = ids[:, :, None].to(self._device)
                chosen = torch.gather(torch.log_softmax(logits, dim=-1), 2, targets)[:, :, 0].double().cpu().numpy()
            for line, index in enumerate(batch):
                yield index, chosen[line, : len(rows[index])]


def _padded(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Ids, shape (rows, longest); padding on the right is never seen by a causal model, so any id will do."""
    import torch

    ids = torch.zeros((len(rows), max(map(len, rows))), dtype=torch.long)
    for line, row in enumerate(rows):
        ids[line, : len(row)] = torch.tensor(row)
    return ids


def length_batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Indices of rows grouped by similar length, each group at most `batch_tokens` positions or one row."""
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda row: lengths[row]):
        if not batches or (len(batches[-1]) + 1) * lengths[index] > batch_tokens:
            batches.append([])
        batches[-1].append(index)
    return batches


def bits_after(
    scorer: CausalScorer, texts: Sequence[str], openings: Sequence[Sequence[int]], batch_tokens: int
) -> list[NDArray[np.float64]]:
    """Bits of every unit of every text, -log2 P(unit | its opening, text before it), shape (units,).

    `openings` are the ids that stand before each text, at least one. A text that does not fit into the model's context
    is read in windows that overlap by half, each after the whole opening. Raises InputError for an opening without
    tokens, and for one that leaves no room.
    """
    if not texts:
        return []
    encoded = scorer.tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True)
    bits = [np.zeros(len(ids)) for ids in encoded["input_ids"]]
    rows, places = [], []
    for owner, (ids, opening) in enumerate(zip(encoded["input_ids"], openings, strict=True)):
        room = scorer.context - len(opening)
        if not opening or room < _LEAST_ROOM:
            raise InputError(
                f"texts: {len(opening)} tokens stand before text {owner} and the LM reads {scorer.context}; one must "
                f"at least, and leave room for {_LEAST_ROOM}"
            )
        for read_from, new_from, stop in windows(len(ids), room):
            rows.append([*opening, *ids[read_from:stop]])
            places.append((owner, new_from, stop))
    for row, logs in scorer.log_probabilities(rows, batch_tokens):
        owner, new_from, stop = places[row]
        bits[owner][new_from:stop] = -logs[len(logs) - (stop - new_from) :] / _LN2
    return [
        bits_of_units(text, split_units(text), offsets, own)
        for text, offsets, own in zip(texts, encoded["offset_mapping"], bits, strict=True)
    ]


def windows(tokens: int, size: int) -> list[tuple[int, int, int]]:
    """(first read, first new, stop) of windows of at most `size` tokens, each half of them read before, but the first.

    The new parts cover [0, tokens) once.
    """
    result = []
    new_from = 0
    while new_from < tokens:
        read_from = max(0, new_from - size // 2)
        stop = min(tokens, read_from + size)
        result.append((read_from, new_from, stop))
        new_from = stop
    return result


def bits_of_units(
    text: str, units: NDArray[np.int64], tokens: Sequence[tuple[int, int]], bits: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give each token's bits to the visible characters it covers, and sum them over the units, shape (units,).

    `units` and `tokens` are [start, end) characters of `text`. Whitespace takes no share.
    """
    per_character = np.zeros(len(text))
    visible = np.fromiter((not character.isspace() for character in text), np.bool_, len(text))
    for (start, end), amount in zip(tokens, bits, strict=True):
        count = visible[start:end].sum()
        if count:
            per_character[start:end] += visible[start:end] * (amount / count)
    total = np.concatenate([[0.0], np.cumsum(per_character)])
    return np.asarray(total[units[:, 1]] - total[units[:, 0]], dtype=np.float64)
