"""Files that name latents: every form reads, every fault names the file and the entry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from latent_core.dual.files import read_embeddings, read_ids, read_tokens
from latent_core.errors import InputError


@pytest.mark.parametrize("text", ["[3, 1, 2]", "3\n1\n2\n", " 3\n1 \n2"])
def test_ids_as_json_or_lines(tmp_path: Path, text: str) -> None:
    (tmp_path / "ids").write_text(text)
    assert read_ids(tmp_path / "ids") == [3, 1, 2]


def test_ids_bad_entry_is_named(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("3\nx\n")
    with pytest.raises(InputError, match="entry 2 is 'x'"):
        read_ids(tmp_path / "ids")


def test_tokens_keep_their_spaces(tmp_path: Path) -> None:
    (tmp_path / "lines").write_text(" two\nthree \n[step]\n")
    assert read_tokens(tmp_path / "lines") == [" two", "three ", "[step]"]
    (tmp_path / "json").write_text('[" two", "line\\nend"]')
    assert read_tokens(tmp_path / "json") == [" two", "line\nend"]


def test_tokens_lines_that_begin_with_a_bracket_are_no_json(tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("[step]\n[answer]\n")
    assert read_tokens(tmp_path / "lines") == ["[step]", "[answer]"]


def test_tokens_that_are_no_strings_or_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "json").write_text('["a", 5]')
    with pytest.raises(InputError, match="entry 2 is 5"):
        read_tokens(tmp_path / "json")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        read_tokens(tmp_path / "bytes")
    with pytest.raises(InputError, match="no such file"):
        read_tokens(tmp_path / "missing")


def test_embeddings_from_npy_and_safetensors(tmp_path: Path) -> None:
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(tmp_path / "rows.npy", rows)
    save_file({"embeddings": torch.from_numpy(rows).bfloat16()}, tmp_path / "rows.safetensors")
    assert np.array_equal(read_embeddings(tmp_path / "rows.npy"), rows)
    assert np.array_equal(read_embeddings(tmp_path / "rows.safetensors"), rows)


def test_embeddings_pickle_and_misnamed_tensor_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.asarray([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="array of numbers"):
        read_embeddings(tmp_path / "objects.npy")
    save_file({"other": torch.zeros(1)}, tmp_path / "rows.safetensors")
    with pytest.raises(InputError, match="embeddings"):
        read_embeddings(tmp_path / "rows.safetensors")
    (tmp_path / "rows.pt").touch()
    with pytest.raises(InputError, match=r"\.npy or \.safetensors"):
        read_embeddings(tmp_path / "rows.pt")
