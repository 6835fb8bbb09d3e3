"""What latent rows started as, where that is not the row of their own source.

`dual_initial.json` beside the weights has `version`, `initial` (permuted), `seed` and `row_ids`: for each latent, the
visible id whose row it started as; -1 for a latent without a source, which has a row of its own. The codec is not
concerned: what a latent stands for is in `dual_vocab.json`. A model whose latents start as copies has no such file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from latent_core.config.dual import Initial
from latent_core.dual.storage import NO_SOURCE, read_json, write_json
from latent_core.dual.vocabulary import DualVocabulary
from latent_core.errors import InputError
from latent_core.permutations import derangement

FILE_NAME = "dual_initial.json"
VERSION = 1


def permuted_row_ids(vocabulary: DualVocabulary, seed: int) -> tuple[int, ...]:
    """Length L: for each latent with a source, the source of another one; every source is taken once.

    Raises `InputError` for fewer than two latents with a source.
    """
    mirrors = np.flatnonzero(vocabulary.sources != NO_SOURCE)
    if mirrors.size < 2:
        raise InputError(f"dual.initial: permuted needs two latents that mirror a token, there are {mirrors.size}")
    row_ids = vocabulary.sources.copy()
    row_ids[mirrors] = vocabulary.sources[mirrors][derangement(mirrors.size, seed)]
    return tuple(row_ids.tolist())


def save_row_ids(directory: Path, row_ids: tuple[int, ...], seed: int) -> None:
    """Write `dual_initial.json`."""
    content = {"version": VERSION, "initial": Initial.PERMUTED.value, "seed": seed, "row_ids": list(row_ids)}
    write_json(directory / FILE_NAME, content)


def row_ids_of(directory: Path, vocabulary: DualVocabulary) -> npt.NDArray[np.int64]:
    """The visible id whose row each latent started as, shape (L,), -1 for none: its source, or what the file says.

    Raises `InputError` for a file that is no permutation of the vocabulary's sources.
    """
    path = directory / FILE_NAME
    if not path.is_file():
        return vocabulary.sources
    stored = read_json(path)
    if stored.get("version") != VERSION or stored.get("initial") != Initial.PERMUTED:
        raise InputError(f"{path} is of another version: build the dual model again")
    row_ids = np.asarray(stored.get("row_ids") or [])
    if row_ids.dtype.kind != "i" or not np.array_equal(np.sort(row_ids), np.sort(vocabulary.sources)):
        raise InputError(f"{path}: row_ids are no permutation of the latents' sources: build the dual model again")
    return row_ids.astype(np.int64)
