"""Rewriting the vocabulary tables of a safetensors checkpoint row by row, without loading a tensor.

Rows are moved as bytes, so copies are exact in any dtype, and memory stays at one block whatever the model's size.
File layout: 8 bytes little-endian header length, JSON header, tensors back to back (the safetensors format document).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from latent_core.dual.storage import read_json, write_json
from latent_core.errors import InputError

INDEX_NAME = "model.safetensors.index.json"
_BLOCK_BYTES = 1 << 24
_EMBEDDING_ENDINGS = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight")
_HEAD_ENDINGS = ("lm_head.weight", "embed_out.weight")
_HEAD_BIAS_ENDINGS = ("lm_head.bias", "embed_out.bias")
_TORCH_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}

Piece = bytes | tuple[int, int]
"""A part of a new table: encoded rows, or a run `(first, count)` of the old table's rows."""


@dataclass(frozen=True)
class Table:
    """One stored tensor with a row a token; a bias counts as rows of one column."""

    path: Path
    name: str
    dtype: str
    """Torch's name, such as bfloat16."""
    rows: int
    columns: int
    offset: int
    """Of the first row, in bytes from the file's start."""
    row_bytes: int

    def blocks(self, first: int = 0, count: int | None = None) -> Iterator[bytes]:
        """The bytes of rows `first` to `first + count`, in blocks of whole rows."""
        step = max(1, _BLOCK_BYTES // self.row_bytes)
        stop = self.rows if count is None else first + count
        with self.path.open("rb") as file:
            file.seek(self.offset + first * self.row_bytes)
            for start in range(first, stop, step):
                yield file.read(min(step, stop - start) * self.row_bytes)

    def to_float(self, block: bytes) -> npt.NDArray[np.float32]:
        """Rows as float32, shape (rows in block, columns)."""
        import torch

        rows = torch.frombuffer(bytearray(block), dtype=getattr(torch, self.dtype))
        return np.asarray(rows.float().numpy()).reshape(-1, self.columns)

    def encode(self, rows: npt.NDArray[np.floating[Any]]) -> bytes:
        """Rows, shape (n, columns), in this table's dtype."""
        import torch

        converted = torch.from_numpy(rows.astype(np.float32)).to(getattr(torch, self.dtype))
        return converted.view(torch.uint8).numpy().tobytes()

    def gather(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """The bytes of rows `ids`, shape (n, row_bytes)."""
        mapped = np.memmap(self.path, np.uint8, "r", self.offset, (self.rows, self.row_bytes))
        return np.asarray(mapped[ids])


@dataclass(frozen=True)
class Tables:
    """The vocabulary tables of a checkpoint; `head` is None where the embedding serves as head."""

    embedding: Table
    head: Table | None
    bias: Table | None

    def all(self) -> list[Table]:
        return [table for table in (self.embedding, self.head, self.bias) if table is not None]


def weight_files(directory: Path) -> list[Path]:
    """The checkpoint's safetensors files. Raises `InputError` when there are none, or one of the index is missing."""
    index = directory / INDEX_NAME
    if index.exists():
        files = [directory / name for name in sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))]
    else:
        files = sorted(directory.glob("*.safetensors"))
    missing = [path.name for path in files if not path.exists()]
    if missing or not files:
        what = f"lacks {', '.join(missing)}" if missing else "holds no *.safetensors"
        raise InputError(f"{directory} {what}: save the base model with save_pretrained (safetensors) first")
    return files


def find_tables(directory: Path) -> Tables:
    """The embedding, head and head bias, from the files' headers. Raises `InputError` when there is no embedding."""
    tables = [table for path in weight_files(directory) for table in _tables_of(path)]

    def one(endings: tuple[str, ...]) -> Table | None:
        found = [table for table in tables if table.name.endswith(endings)]
        if len(found) > 1:
            raise InputError(f"{directory} has several tables {[table.name for table in found]}: only one is supported")
        return found[0] if found else None

    embedding = one(_EMBEDDING_ENDINGS)
    if embedding is None:
        raise InputError(f"{directory} has no tensor named *{' or *'.join(_EMBEDDING_ENDINGS)}: not a supported model")
    return Tables(embedding, one(_HEAD_ENDINGS), one(_HEAD_BIAS_ENDINGS))


def rewrite_tables(base: Path, target: Path, tables: Tables, pieces: Mapping[str, Sequence[Piece]]) -> None:
    """Write the weight files of `base` into `target` with the tables put together from `pieces`, by their names, and
    the index of a sharded checkpoint with its new size."""
    total = 0
    for path in weight_files(base):
        changed = {table.name: (table, pieces[table.name]) for table in tables.all() if table.path == path}
        total += rewrite_file(path, target / path.name, changed)
    if (base / INDEX_NAME).exists():
        index = read_json(base / INDEX_NAME)
        metadata = {key: value for key, value in index.get("metadata", {}).items() if key != "total_parameters"}
        write_json(target / INDEX_NAME, {**index, "metadata": {**metadata, "total_size": total}})


def rewrite_file(source: Path, target: Path, changed: Mapping[str, tuple[Table, Sequence[Piece]]]) -> int:
    """Copy a safetensors file with some tables replaced by pieces; returns the number of tensor bytes written."""
    header, start = read_header(source)
    metadata = header.pop("__metadata__", None)
    order = sorted(header, key=lambda name: header[name]["data_offsets"][0])
    new_header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    position = 0
    for name in order:
        entry = header[name]
        first, stop = entry["data_offsets"]
        shape, size = entry["shape"], stop - first
        if name in changed:
            table, pieces = changed[name]
            rows = sum(len(p) // table.row_bytes if isinstance(p, bytes) else p[1] for p in pieces)
            shape, size = [rows, *shape[1:]], rows * table.row_bytes
        new_header[name] = {"dtype": entry["dtype"], "shape": shape, "data_offsets": [position, position + size]}
        position += size
    encoded = json.dumps(new_header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)  # the format aligns the tensors to 8 bytes
    with source.open("rb") as old, target.open("wb") as new:
        new.write(struct.pack("<Q", len(encoded)) + encoded)
        for name in order:
            if name in changed:
                table, pieces = changed[name]
                for piece in pieces:
                    new.writelines([piece] if isinstance(piece, bytes) else table.blocks(*piece))
            else:
                first, stop = header[name]["data_offsets"]
                _copy_bytes(old, new, start + first, stop - first)
    return position


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The JSON header and the position of the first tensor. Raises `InputError` on a damaged file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = struct.unpack("<Q", file.read(8))[0] if size > 8 else size
        if length > size - 8:
            raise InputError(f"{path} is not a whole safetensors file: download or save it again")
        header: dict[str, Any] = json.loads(file.read(length))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    if 8 + length + max(ends, default=0) != size:
        raise InputError(f"{path} is cut short ({size} bytes): download or save it again")
    return header, 8 + length


def _tables_of(path: Path) -> Iterator[Table]:
    header, start = read_header(path)
    for name, entry in header.items():
        if not name.endswith(_EMBEDDING_ENDINGS + _HEAD_ENDINGS + _HEAD_BIAS_ENDINGS):
            continue
        if entry["dtype"] not in _TORCH_NAMES:
            raise InputError(f"{path}: {name} has dtype {entry['dtype']}, a quantised base: build from full precision")
        rows, columns = entry["shape"][0], int(np.prod(entry["shape"][1:], dtype=np.int64))
        first, stop = entry["data_offsets"]
        yield Table(path, name, _TORCH_NAMES[entry["dtype"]], rows, columns, start + first, (stop - first) // rows)


def _copy_bytes(old: IO[bytes], new: IO[bytes], start: int, count: int) -> None:
    old.seek(start)
    while count:
        block = old.read(min(count, _BLOCK_BYTES))
        new.write(block)
        count -= len(block)
