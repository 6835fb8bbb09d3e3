"""The think tokens of a base model: which pair it has, what to do when it has none, and their rows.

New or existing, they end up as *non-special* single tokens: `decode(skip_special_tokens=True)` must keep `</think>`,
which parsers and scorers look for.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from latent_core.dual.storage import read_json, write_json
from latent_core.dual.tensor_rows import Table
from latent_core.errors import InputError
from latent_core.think_marks import THINK_PAIRS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CLONE_SOURCES = ("<|im_end|>", "<|eot_id|>", "<|end|>", "</s>")
NOISE = 0.01  # share of the table's spread that tells new rows apart (REFERENCE)


class ThinkMissing(StrEnum):
    """What to do with a base that has no think tokens."""

    ERROR = "error"
    ADD = "add"
    CLONE_EOS = "clone_eos"


@dataclass(frozen=True)
class ThinkTokens:
    """The pair in use; `added` are those that the base's tokenizer lacks, `clone_id` the row they start from."""

    texts: tuple[str, str]
    ids: tuple[int, int]
    added: tuple[str, ...] = ()
    clone_id: int | None = None


def choose_think_tokens(tokenizer: PreTrainedTokenizerBase, missing: ThinkMissing) -> ThinkTokens:
    """The base's pair, or the plan for a new one at the tokenizer's next free ids.

    Those are rows of padding where the base has them, and rows appended to the tables where not.
    Raises `InputError` when there is no pair and `missing` is error, or when clone_eos finds nothing to clone.
    """
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    for start, end in THINK_PAIRS:  # the first existing single-token pair
        if all(tokenizer.encode(text, add_special_tokens=False) == [vocabulary.get(text)] for text in (start, end)):
            return ThinkTokens((start, end), (vocabulary[start], vocabulary[end]))
    if missing is ThinkMissing.ERROR:
        raise InputError(
            "think_missing: the base has no think tokens; set it to add or clone_eos, or choose another base"
        )
    clone_id: int | None = None
    if missing is ThinkMissing.CLONE_EOS:
        present = [vocabulary[text] for text in CLONE_SOURCES if text in vocabulary]
        clone_id = present[0] if present else tokenizer.eos_token_id
        if clone_id is None:
            raise InputError("think_missing: clone_eos needs an end-of-sequence token, and there is none; use add")
    texts = THINK_PAIRS[0]
    # One of the two may be there already; only the other is new.
    added = tuple(text for text in texts if text not in vocabulary)
    free = max(vocabulary.values()) + 1
    ids = {text: free + index for index, text in enumerate(added)}
    start_id, end_id = (ids[text] if text in ids else vocabulary[text] for text in texts)
    return ThinkTokens(texts, (start_id, end_id), added, clone_id)


def new_rows(
    table: Table, think: ThinkTokens, real_ids: npt.NDArray[np.int64], rng: np.random.Generator
) -> dict[int, bytes]:
    """The encoded row of each added think token in `table`, by id.

    Without `clone_id`: mean + 0.01 * std * N(0, 1), both per column over `real_ids` (padding rows were never trained).
    With: E[clone] + 0.01 * mean|E[clone]| * N(0, 1). Source: REFERENCE, think tokens.
    """
    if think.clone_id is not None:
        row = table.to_float(table.gather(np.asarray([think.clone_id])).tobytes())[0].astype(np.float64)
        centre, spread = row, np.full_like(row, np.abs(row).mean())
    else:
        centre, spread = column_moments(table, real_ids)
    return {
        token: table.encode((centre + NOISE * spread * rng.standard_normal(table.columns))[None])
        for text, token in zip(think.texts, think.ids, strict=True)
        if text in think.added
    }


def column_moments(
    table: Table, real_ids: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and standard deviation of each column over rows `real_ids`, in float64, one block at a time."""
    real = np.zeros(table.rows, dtype=bool)
    real[real_ids] = True
    total, squares, first = np.zeros(table.columns), np.zeros(table.columns), 0
    for block in table.blocks():
        rows = table.to_float(block)
        kept = rows[real[first : first + len(rows)]].astype(np.float64)
        total, squares, first = total + kept.sum(axis=0), squares + (kept**2).sum(axis=0), first + len(rows)
    mean = total / real.sum()
    return mean, np.sqrt(np.maximum(squares / real.sum() - mean**2, 0.0))


def register(directory: Path, think: ThinkTokens) -> None:
    """Make the pair plain (non-special) added tokens in the tokenizer files of `directory`."""
    tokenizer_path = directory / "tokenizer.json"
    tokenizer = read_json(tokenizer_path)
    by_text: dict[str, dict[str, Any]] = {entry["content"]: entry for entry in tokenizer["added_tokens"]}
    for text, token in zip(think.texts, think.ids, strict=True):
        by_text[text] = {"id": token, **_plain(text)}
    tokenizer["added_tokens"] = sorted(by_text.values(), key=lambda entry: int(entry["id"]))
    write_json(tokenizer_path, tokenizer)
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        path = directory / name
        if path.exists():
            write_json(path, _without_special(read_json(path), think))


def _plain(text: str) -> dict[str, Any]:
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return {"content": text, **dict.fromkeys(flags, False)}


def _without_special(config: dict[str, Any], think: ThinkTokens) -> dict[str, Any]:
    """A tokenizer configuration in which the pair is in no list of special tokens."""
    changed = dict(config)
    for key in ("additional_special_tokens", "extra_special_tokens"):
        listed = changed.get(key)
        if isinstance(listed, list):
            changed[key] = [item for item in listed if _text_of(item) not in think.texts]
        elif isinstance(listed, dict):
            changed[key] = {name: item for name, item in listed.items() if _text_of(item) not in think.texts}
    if "added_tokens_decoder" in changed:
        entries = {str(token): _plain(text) for text, token in zip(think.texts, think.ids, strict=True)}
        changed["added_tokens_decoder"] = {**changed["added_tokens_decoder"], **entries}
    return changed


def _text_of(item: Any) -> Any:
    return item.get("content") if isinstance(item, dict) else item
