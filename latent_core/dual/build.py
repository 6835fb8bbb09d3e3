"""Building a dual-vocabulary model directory from a base model's, one block of bytes at a time.

Unlike the reference, a full copy leaves out end-of-sequence, special and turn tokens, think tokens and padding rows,
so L < V; latents are ids without a string, so the tokenizer stays visible-only and user text cannot spell one.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from latent_core.config.dual import Initial, LatentMode
from latent_core.dual.initial import permuted_row_ids, save_row_ids
from latent_core.dual.memory import peak_rss_bytes, start_peak_measurement
from latent_core.dual.mirrors import end_ids
from latent_core.dual.selection import select_latents
from latent_core.dual.storage import NO_SOURCE, read_json, runs_of, write_json
from latent_core.dual.tensor_rows import INDEX_NAME, Piece, Table, Tables, find_tables, rewrite_tables
from latent_core.dual.think_tokens import (
    NOISE,
    ThinkMissing,
    ThinkTokens,
    choose_think_tokens,
    column_moments,
    new_rows,
    register,
)
from latent_core.dual.vocabulary import DualVocabulary
from latent_core.errors import InputError
from latent_core.loading import NO_CODE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Choice = TypeVar("Choice", bound=StrEnum)

_WEIGHT_SUFFIXES = {".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx"}


@dataclass(frozen=True)
class BuildReport:
    """What was built: sizes in rows, memory in bytes."""

    directory: Path
    vocabulary: DualVocabulary
    base_rows: int
    added_tokens: tuple[str, ...]
    excluded: dict[str, int]
    """Candidates that were not mirrored, by reason: think, eos, special, padding."""
    dtype: str
    tied: bool
    initial: Initial
    peak_rss_bytes: int
    """Of this process during the build (Linux), else since it began."""
    files: tuple[str, ...]

    @property
    def visible_size(self) -> int:
        return self.vocabulary.visible_size

    @property
    def latent_size(self) -> int:
        return self.vocabulary.latent_size

    @property
    def think_ids(self) -> tuple[int, int]:
        return self.vocabulary.think_ids

    def lines(self) -> list[str]:
        """The report to print."""
        left_out = ", ".join(f"{count} {reason}" for reason, count in self.excluded.items() if count) or "nothing"
        added = ", ".join(self.added_tokens) or "none"
        rows = "" if self.initial is Initial.COPY else "; rows of other tokens (permuted)"
        return [
            f"dual model   {self.directory}",
            f"visible      {self.visible_size} rows ({self.base_rows} of the base)",
            f"latent       {self.latent_size} rows, mode {self.vocabulary.mode}; left out: {left_out}{rows}",
            f"think        ids {self.think_ids[0]}, {self.think_ids[1]}; added: {added}",
            f"tables       {self.dtype}, {'tied' if self.tied else 'untied'} head",
            f"peak memory  {self.peak_rss_bytes / 2**20:.0f} MiB",
        ]


def build_dual(
    base_dir: str | Path,
    out_dir: str | Path,
    *,
    mode: str = "full_copy",
    subset_ids: Sequence[int] | None = None,
    subset_pattern: str | None = None,
    custom_tokens: Sequence[str] | None = None,
    custom_embeddings: npt.NDArray[np.floating[Any]] | None = None,
    think_missing: str = "error",
    initial: str = "copy",
    seed: int = 0,
) -> BuildReport:
    """Write the dual model of `base_dir` into `out_dir`, which must be absent or empty; nothing is left on failure.

    Latent rows are exact copies of their sources' rows, in the base's dtype, in the embedding and in an untied head;
    with `initial` permuted, of other latents' sources' rows, by a permutation without fixed points that `seed` draws.
    `custom_embeddings`, shape (L, hidden), are the rows of `custom_tokens` (in an untied head too); without them a
    custom token that is no visible token starts at mean + 0.01 * std * N(0, 1). `seed` draws all new rows.
    Raises `InputError` on bad arguments or a base that is damaged, quantised, or at odds with its tokenizer.
    """
    base, out = Path(base_dir), Path(out_dir)
    chosen_mode = _choice(LatentMode, "mode", mode)
    chosen_missing = _choice(ThinkMissing, "think_missing", think_missing)
    is_permuted = _choice(Initial, "initial", initial) is Initial.PERMUTED
    if is_permuted and chosen_mode is LatentMode.CUSTOM:
        raise InputError("initial is permuted, but mode custom makes rows of its own: drop one")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"out_dir {out} is not empty: remove it or name another")
    start_peak_measurement()
    tables, tied = _tables_of_base(base)
    tokenizer = _tokenizer(base)
    real_ids = np.asarray(sorted(set(tokenizer.get_vocab().values())), dtype=np.int64)
    base_rows = tables.embedding.rows
    if real_ids[-1] >= base_rows:
        raise InputError(f"{base}: the tokenizer has id {real_ids[-1]}, the embedding {base_rows} rows: not a pair")
    think = choose_think_tokens(tokenizer, chosen_missing)
    visible_size = max(base_rows, max(think.ids) + 1)
    eos_ids = end_ids(base, tokenizer)
    selection = select_latents(
        tokenizer,
        visible_size,
        eos_ids,
        think,
        mode=chosen_mode,
        subset_ids=subset_ids,
        subset_pattern=subset_pattern,
        custom_tokens=custom_tokens,
        custom_rows_given=custom_embeddings is not None,
    )
    vocabulary = DualVocabulary(
        visible_size, selection.source_ids, *think.ids, eos_ids, chosen_mode.value, selection.custom_tokens
    )
    own_rows = _checked_rows(custom_embeddings, vocabulary, tables.embedding)
    row_ids = permuted_row_ids(vocabulary, seed) if is_permuted else vocabulary.source_ids
    pieces = {
        table.name: _pieces(table, row_ids, think, real_ids, own_rows, np.random.default_rng([seed, index]))
        for index, table in enumerate(tables.all())
    }
    if tied and tables.head is not None:
        # The checkpoint stores the tied head as well: it must stay the same matrix.
        pieces[tables.head.name] = pieces[tables.embedding.name]
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _write(base, partial, tables, pieces, vocabulary, think, tokenizer)
        if is_permuted:
            save_row_ids(partial, row_ids, seed)
        if out.exists():
            out.rmdir()
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return BuildReport(
        directory=out,
        vocabulary=vocabulary,
        base_rows=base_rows,
        added_tokens=think.added,
        excluded=selection.excluded,
        dtype=tables.embedding.dtype,
        tied=tied,
        initial=Initial(initial),
        peak_rss_bytes=peak_rss_bytes(),
        files=tuple(sorted(path.name for path in out.iterdir())),
    )


def _choice(kind: type[Choice], field: str, value: str) -> Choice:
    if value not in list(kind):
        raise InputError(f"{field} is {value!r}: choose one of {', '.join(kind)}")
    return kind(value)


def _tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(directory, **NO_CODE)


def _tables_of_base(base: Path) -> tuple[Tables, bool]:
    """The base's tables and whether its head is tied. Raises `InputError` where they contradict the config."""
    from transformers import AutoConfig

    if not (base / "config.json").exists():
        raise InputError(f"base_dir {base} has no config.json: give a model directory saved by save_pretrained")
    config = read_json(base / "config.json")
    if "dual_vocab" in config:
        raise InputError(f"base_dir {base} is a dual model already: build from its base")
    if "quantization_config" in config:
        raise InputError(f"base_dir {base} is quantised: build from the full-precision model, then quantise")
    tables = find_tables(base)
    said, stored = config.get("vocab_size"), tables.embedding.rows
    if said != stored:
        raise InputError(f"{base}: config.json has vocab_size {said}, the embedding {stored} rows: not a pair")
    # The default differs between architectures, so the class answers, not the file.
    tied = bool(AutoConfig.from_pretrained(base, **NO_CODE).tie_word_embeddings)
    if not tied and tables.head is None:
        raise InputError(f"{base}: the head is untied but no lm_head.weight is stored: save the model again")
    return tables, tied


def _checked_rows(
    rows: npt.NDArray[np.floating[Any]] | None, vocabulary: DualVocabulary, embedding: Table
) -> npt.NDArray[np.floating[Any]] | None:
    if rows is None:
        return None
    shape = (vocabulary.latent_size, embedding.columns)
    if vocabulary.mode != LatentMode.CUSTOM or np.shape(rows) != shape or not np.isfinite(rows).all():
        raise InputError(f"custom_embeddings must be finite, of shape {shape}, with mode custom; got {np.shape(rows)}")
    return np.asarray(rows)


def _pieces(
    table: Table,
    row_ids: tuple[int, ...],
    think: ThinkTokens,
    real_ids: npt.NDArray[np.int64],
    own_rows: npt.NDArray[np.floating[Any]] | None,
    rng: np.random.Generator,
) -> list[Piece]:
    """The new table: the base's rows with the think rows put in, then the latents: copies of `row_ids`, -1: new."""
    pieces: list[Piece] = []
    position = 0
    for token, row in sorted(new_rows(table, think, real_ids, rng).items()):
        pieces += [(position, min(token, table.rows) - position), row]
        position = min(token + 1, table.rows)
    pieces.append((position, table.rows - position))
    if own_rows is not None and own_rows.shape[1] == table.columns:
        return [*pieces, table.encode(own_rows)]
    moments = column_moments(table, real_ids) if NO_SOURCE in row_ids else None
    for first, count in runs_of(row_ids):
        if moments is not None and first == NO_SOURCE:
            noise = rng.standard_normal((count, table.columns))
            pieces.append(table.encode(moments[0] + NOISE * moments[1] * noise))
        else:
            pieces.append((first, count))
    return pieces


def _write(
    base: Path,
    target: Path,
    tables: Tables,
    pieces: dict[str, list[Piece]],
    vocabulary: DualVocabulary,
    think: ThinkTokens,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    for path in sorted(base.iterdir()):
        if path.is_file() and path.suffix not in _WEIGHT_SUFFIXES and path.name != INDEX_NAME:
            shutil.copyfile(path, target / path.name)
    if not (target / "tokenizer.json").exists():
        tokenizer.save_pretrained(target)
    register(target, think)
    rewrite_tables(base, target, tables, pieces)
    config = read_json(target / "config.json")
    write_json(target / "config.json", {**config, "vocab_size": vocabulary.size})
    vocabulary.save(target)
    loaded = _tokenizer(target)
    got = tuple(loaded.convert_tokens_to_ids(text) for text in think.texts)
    if got != think.ids:
        raise InputError(f"the written tokenizer gives think ids {got}, expected {think.ids}: unsupported tokenizer")
