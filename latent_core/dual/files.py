"""The files a user may name latents with: ids, token texts, embedding rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from latent_core.errors import InputError

EMBEDDINGS_KEY = "embeddings"


def read_ids(path: Path) -> list[int]:
    """Token ids: a JSON list, or one number a line. Raises `InputError` naming the first bad entry."""
    entries = _entries(path)
    ids = []
    for number, entry in enumerate(entries, 1):
        try:
            ids.append(int(entry))
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: entry {number} is {entry!r}, not a token id: give whole numbers") from error
    return ids


def read_tokens(path: Path) -> list[str]:
    """Token texts: a JSON list of strings, or one token a line, of which only the line's end is taken off.

    Spaces belong to the token; a token that holds a line end needs the JSON form.
    """
    entries = _entries(path)
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, str):
            raise InputError(f"{path}: entry {number} is {entry!r}, not a string: quote it")
    return entries


def read_embeddings(path: Path) -> npt.NDArray[np.float32]:
    """Rows of shape (L, hidden): a `.npy` file, or tensor `embeddings` of a `.safetensors` file."""
    _must_exist(path)
    if path.suffix == ".npy":
        try:
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
        except ValueError as error:
            raise InputError(f"{path}: is not an array of numbers ({error})") from error
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: embeddings come from a .npy or .safetensors file; convert it")
    from safetensors import safe_open

    with safe_open(path, framework="pt") as tensors:
        if EMBEDDINGS_KEY not in tensors.keys():  # noqa: SIM118 - not a mapping
            raise InputError(f"{path}: holds no tensor {EMBEDDINGS_KEY!r}; rename it")
        rows: npt.NDArray[np.float32] = tensors.get_tensor(EMBEDDINGS_KEY).float().numpy()
    return rows


def _entries(path: Path) -> list[Any]:
    _must_exist(path)
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})") from error
    if not text.lstrip().startswith("["):
        return text.removesuffix("\n").split("\n") if text.strip("\n") else []
    try:
        entries: list[Any] = json.loads(text)
    except json.JSONDecodeError:
        # A token file may begin with a bracket and yet be one token a line.
        return text.removesuffix("\n").split("\n")
    return entries


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
