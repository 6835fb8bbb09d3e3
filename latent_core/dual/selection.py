"""Which visible tokens get a latent mirror: full copy, subset, or latents of one's own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from latent_core.config.dual import LatentMode
from latent_core.dual.storage import NO_SOURCE
from latent_core.dual.think_tokens import ThinkTokens
from latent_core.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TURN_MARKERS = frozenset(
    {
        "<|im_start|>",
        "<|im_end|>",
        "<|im_sep|>",
        "<|eot_id|>",
        "<|eom_id|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|endoftext|>",
        "<|end|>",
        "<|user|>",
        "<|assistant|>",
        "<|system|>",
        "<|start|>",
        "<|message|>",
        "<|channel|>",
        "<|return|>",
        "<start_of_turn>",
        "<end_of_turn>",
        "[INST]",
        "[/INST]",
        "<s>",
        "</s>",
        "<bos>",
        "<eos>",
        "<pad>",
        "<unk>",
    }
)
"""Never mirrored even where a tokenizer fails to call them special: a turn must not end inside the reasoning."""


@dataclass(frozen=True)
class Selection:
    """The latents' sources (-1: none), their texts in mode custom, and what was left out, by reason."""

    source_ids: tuple[int, ...]
    custom_tokens: tuple[str, ...]
    excluded: dict[str, int]


def select_latents(
    tokenizer: PreTrainedTokenizerBase,
    visible_size: int,
    eos_ids: Sequence[int],
    think: ThinkTokens,
    *,
    mode: LatentMode,
    subset_ids: Sequence[int] | None = None,
    subset_pattern: str | None = None,
    custom_tokens: Sequence[str] | None = None,
    custom_rows_given: bool = False,
) -> Selection:
    """The latents of `mode`; `excluded` counts candidates that may not be mirrored.

    `subset_pattern` is searched in each token's *decoded* text. A custom token whose text is exactly one visible token
    mirrors it, unless its embedding is given. Raises `InputError` for arguments that the mode does not take, ids out
    of range, an empty selection, repeated custom tokens, or a custom token that is an excluded one.
    """
    given = {"subset_ids": subset_ids, "subset_pattern": subset_pattern, "custom_tokens": custom_tokens}
    takes: dict[LatentMode, set[str]] = {
        LatentMode.FULL_COPY: set(),
        LatentMode.SUBSET: {"subset_ids", "subset_pattern"},
        LatentMode.CUSTOM: {"custom_tokens"},
    }
    present = {name for name, value in given.items() if value is not None}
    if present - takes[mode]:
        raise InputError(f"mode {mode} does not take {', '.join(sorted(present - takes[mode]))}: drop it or the mode")
    if takes[mode] and len(present) != 1:
        raise InputError(f"mode {mode} needs exactly one of {', '.join(sorted(takes[mode]))}")
    reasons = _exclusions(tokenizer, visible_size, eos_ids, think)
    if custom_tokens is not None:
        return _custom(tokenizer, list(custom_tokens), reasons, custom_rows_given)
    if subset_ids is not None:
        candidates = np.unique(np.asarray(subset_ids, dtype=np.int64))
        if candidates.size and (candidates[0] < 0 or candidates[-1] >= visible_size):
            raise InputError(f"subset_ids must lie in [0, {visible_size}), the visible ids: check the file's tokenizer")
    elif subset_pattern is not None:
        candidates = _matching(tokenizer, subset_pattern)
    else:
        candidates = np.arange(visible_size, dtype=np.int64)
    kept = np.setdiff1d(candidates, np.concatenate(list(reasons.values())))
    if kept.size == 0:
        raise InputError(f"mode {mode}: no token can be mirrored: widen subset_ids or subset_pattern")
    excluded = {reason: int(np.isin(candidates, ids).sum()) for reason, ids in reasons.items()}
    return Selection(tuple(kept.tolist()), (), excluded)


def _exclusions(
    tokenizer: PreTrainedTokenizerBase, visible_size: int, eos_ids: Sequence[int], think: ThinkTokens
) -> dict[str, npt.NDArray[np.int64]]:
    """Ids that may not be mirrored, by reason; each id counts under its first reason."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    padding = set(range(visible_size)) - set(vocabulary.values()) - set(think.ids)
    added = tokenizer.added_tokens_decoder
    special = {token for token, entry in added.items() if entry.special} | set(tokenizer.all_special_ids)
    markers = {vocabulary[text] for text in TURN_MARKERS if text in vocabulary}
    reasons: dict[str, npt.NDArray[np.int64]] = {}
    seen: set[int] = set()
    named = {"think": set(think.ids), "eos": set(eos_ids), "special": special | markers, "padding": padding}
    for reason, ids in named.items():
        reasons[reason] = np.asarray(sorted(ids - seen), dtype=np.int64)
        seen |= ids
    return reasons


def _matching(tokenizer: PreTrainedTokenizerBase, pattern: str) -> npt.NDArray[np.int64]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"subset_pattern {pattern!r} is not a regular expression ({error}): fix it") from error
    ids = sorted(tokenizer.get_vocab().values())
    texts = tokenizer.batch_decode([[token] for token in ids], clean_up_tokenization_spaces=False)
    return np.asarray([token for token, text in zip(ids, texts, strict=True) if compiled.search(text)], dtype=np.int64)


def _custom(
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    reasons: dict[str, npt.NDArray[np.int64]],
    custom_rows_given: bool,
) -> Selection:
    if not texts or "" in texts or len(set(texts)) != len(texts):
        raise InputError("custom_tokens must be distinct and not empty: check the tokens file for repeats, empty lines")
    sources: list[int] = []
    for text in texts:
        ids = tokenizer.encode(text, add_special_tokens=False)
        single = len(ids) == 1 and tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text
        reason = next((name for name, banned in reasons.items() if single and ids[0] in banned), None)
        if reason is not None:
            raise InputError(f"custom token {text!r} is a {reason} token, which may not be a latent: remove it")
        # Two texts can normalise to one id; only the first may mirror it.
        mirrors = single and not custom_rows_given and ids[0] not in sources
        sources.append(int(ids[0]) if mirrors else NO_SOURCE)
    return Selection(tuple(sources), tuple(texts), {})
