"""Adding ratio tokens to a model: to its tokenizer, and a row each to its embedding and head.

The tables are rewritten as bytes, as those of a dual model are, so that every other weight stays what it was. The new
tokens are special: they are not mirrored by a dual model, which is built from the result and has them among its visible
ids.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from latent_core.config.ratio_form import RatioForm, RatioTokensConfig
from latent_core.dual.storage import CONFIG_KEY, read_json, write_json
from latent_core.dual.tensor_rows import INDEX_NAME, Piece, Table, find_tables, rewrite_tables
from latent_core.dual.think_tokens import NOISE, column_moments
from latent_core.errors import InputError
from latent_core.loading import NO_CODE
from latent_core.models.family import load_tokenizer
from latent_core.models.ratio_tokens import FILE_NAME, RatioTokens, wanted_ratios

_KEPT_SUFFIXES = {".json", ".jinja", ".model", ".txt"}


def add_ratio_tokens(base: Path, out: Path, config: RatioTokensConfig) -> RatioTokens:
    """Write the model in `base` with its ratio tokens into the new folder `out`.

    A new row starts at the mean of all real rows + 0.01 * their standard deviation * N(0, 1), column by column, as new
    think tokens do; rows of padding are taken first. Raises InputError for a model that has ratio tokens, is dual or
    quantised, and where config, tokenizer and weights do not fit together.
    """
    from transformers import AutoConfig

    settings = _checked_config(base)
    tokenizer = load_tokenizer(base)
    real = np.asarray(sorted(set(tokenizer.get_vocab().values())), dtype=np.int64)
    tables = find_tables(base)
    rows = tables.embedding.rows
    if real[-1] >= rows or settings.get("vocab_size") != rows:
        raise InputError(
            f"model: {base} has {rows} embedding rows, vocab_size {settings.get('vocab_size')} and a tokenizer up to "
            f"id {real[-1]}: they do not fit together"
        )
    found = _numbered(config, int(real[-1]) + 1)
    size = max(rows, found.all_ids[-1] + 1)
    pieces = {
        table.name: _pieces(table, found, real, np.random.default_rng([config.seed, index]))
        for index, table in enumerate(tables.all())
    }
    tied = bool(AutoConfig.from_pretrained(base, **NO_CODE).tie_word_embeddings)  # its default is the architecture's
    if tied and tables.head is not None:
        pieces[tables.head.name] = pieces[tables.embedding.name]  # stored twice, and the same matrix
    if not tied and tables.head is None:
        raise InputError(f"model: {base} has an untied head but no lm_head.weight; save the model again")
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(base.iterdir()):
        if path.is_file() and path.suffix in _KEPT_SUFFIXES and path.name != INDEX_NAME:
            shutil.copyfile(path, out / path.name)
    if not (out / "tokenizer.json").exists():
        tokenizer.save_pretrained(out)
    _register(out, found)
    rewrite_tables(base, out, tables, pieces)
    write_json(out / "config.json", {**settings, "vocab_size": size})
    found.save(out)
    found.check(load_tokenizer(out), f"model: {base}")
    return found


def _checked_config(base: Path) -> dict[str, Any]:
    if not (base / "config.json").is_file():
        raise InputError(f"model: {base} has no config.json; give a model directory saved by save_pretrained")
    settings = read_json(base / "config.json")
    if CONFIG_KEY in settings:
        raise InputError(
            f"model: {base} is a dual model; add ratio tokens to its base, and build the dual one from that"
        )
    if "quantization_config" in settings:
        raise InputError(f"model: {base} is quantised; add ratio tokens to the full-precision model")
    if (base / FILE_NAME).exists():
        raise InputError(f"model: {base} has ratio tokens already; start from the model that it was made of")
    return settings


def _numbered(config: RatioTokensConfig, free: int) -> RatioTokens:
    """The tokens at the next free ids."""
    ratios = wanted_ratios(config.ratios)
    echoes = config.form is RatioForm.ECHO
    ids = tuple(range(free, free + len(ratios)))
    return RatioTokens(RatioForm(config.form), ratios, ids, free + len(ratios) if echoes else None)


def _pieces(table: Table, found: RatioTokens, real: np.ndarray[Any, Any], rng: np.random.Generator) -> list[Piece]:
    """The table with the new rows, whose ids follow each other: over its padding, and beyond."""
    centre, spread = column_moments(table, real)
    count, first = len(found.all_ids), found.all_ids[0]
    new = table.encode(centre + NOISE * spread * rng.standard_normal((count, table.columns)))
    after = first + count
    return [(0, first), new, *([(after, table.rows - after)] if after < table.rows else [])]


def _register(directory: Path, found: RatioTokens) -> None:
    """Make the tokens special added tokens in the tokenizer files of `directory`."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    entries = {token: {"content": text, **flags} for text, token in zip(found.texts, found.all_ids, strict=True)}
    stored = read_json(directory / "tokenizer.json")
    known = {entry["content"] for entry in stored["added_tokens"]}
    if (twice := known & set(found.texts)) or (twice := set(found.texts) & set(_vocabulary_of(stored))):
        raise InputError(f"model: its tokenizer has {min(twice)!r} already; start from a model without ratio tokens")
    stored["added_tokens"] += [{"id": token, **entry} for token, entry in entries.items()]
    write_json(directory / "tokenizer.json", stored)
    path = directory / "tokenizer_config.json"
    settings = read_json(path) if path.is_file() else {}
    if "added_tokens_decoder" in settings:
        decoder = settings["added_tokens_decoder"] | {str(token): entry for token, entry in entries.items()}
        write_json(path, settings | {"added_tokens_decoder": decoder})


def _vocabulary_of(stored: dict[str, Any]) -> dict[str, Any]:
    vocabulary = stored["model"].get("vocab", {})
    return vocabulary if isinstance(vocabulary, dict) else {}
