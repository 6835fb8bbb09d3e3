"""Latent rows that start as other tokens' rows: what moves, what stays, and what verification says of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from latent_core.config.dual import DualBuildConfig
from latent_core.dual import DualVocabulary, build_dual, verify_dual
from latent_core.dual.initial import FILE_NAME, row_ids_of
from latent_core.errors import InputError
from tests.latent_core.dual.conftest import MakeBase
from tests.support.training_runs import weights


@pytest.fixture
def base(make_base: MakeBase) -> Path:
    return make_base("llama")


def _built(base: Path, out: Path, **settings: object) -> Path:
    build_dual(base, out, initial="permuted", **settings)  # type: ignore[arg-type]
    return out


def test_permuted_latents_start_as_rows_of_other_tokens_in_embedding_and_head(base: Path, tmp_path: Path) -> None:
    directory = _built(base, tmp_path / "dual", seed=3)
    vocabulary = DualVocabulary.load(directory)
    row_ids = row_ids_of(directory, vocabulary)
    assert sorted(row_ids) == sorted(vocabulary.source_ids)
    assert not (row_ids == vocabulary.sources).any()
    tables = [
        table for name, table in weights(directory).items() if name.endswith(("embed_tokens.weight", "lm_head.weight"))
    ]
    assert len(tables) == 2
    for table in tables:
        assert table[vocabulary.visible_size :].equal(table[row_ids.tolist()])


def test_permuted_build_leaves_the_codec_and_the_visible_rows_as_they_are(base: Path, tmp_path: Path) -> None:
    permuted = _built(base, tmp_path / "permuted")
    build_dual(base, tmp_path / "copy")
    assert DualVocabulary.load(permuted) == DualVocabulary.load(tmp_path / "copy")
    assert not (tmp_path / "copy" / FILE_NAME).exists()
    size = DualVocabulary.load(permuted).visible_size
    one, other = weights(permuted), weights(tmp_path / "copy")
    assert one["model.embed_tokens.weight"][:size].equal(other["model.embed_tokens.weight"][:size])


def test_permutation_follows_the_seed(base: Path, tmp_path: Path) -> None:
    found = [_built(base, tmp_path / str(place), seed=seed) for place, seed in enumerate((1, 1, 2))]
    first, again, other = (json.loads((directory / FILE_NAME).read_text())["row_ids"] for directory in found)
    assert first == again != other


def test_verification_accepts_a_permuted_model_and_says_so(base: Path, tmp_path: Path) -> None:
    report = verify_dual(_built(base, tmp_path / "dual"), new_tokens=4)
    assert report.ok, report.lines()
    assert any("initial: permuted: 0 latents start as their own source" in line for line in report.lines())
    assert any("latents equal the row of another token (permuted)" in line for line in report.lines())


def test_verification_without_the_permutation_finds_rows_that_are_not_their_sources(base: Path, tmp_path: Path) -> None:
    directory = _built(base, tmp_path / "dual")
    (directory / FILE_NAME).unlink()
    failed = [check.name for check in verify_dual(directory, new_tokens=0).checks if not check.passed]
    assert failed == ["model.embed_tokens.weight mirrors", "lm_head.weight mirrors"]


def test_verification_finds_a_permutation_that_is_not_the_rows(base: Path, tmp_path: Path) -> None:
    directory = _built(base, tmp_path / "dual")
    path = directory / FILE_NAME
    stored = json.loads(path.read_text())
    path.write_text(json.dumps(stored | {"row_ids": np.roll(stored["row_ids"], 1).tolist()}))
    assert not verify_dual(directory, new_tokens=0).ok


@pytest.mark.parametrize("row_ids", [[1, 2, 3], "all", None, {}, [0.5]])
def test_damaged_permutation_is_named(base: Path, tmp_path: Path, row_ids: object) -> None:
    directory = _built(base, tmp_path / "dual")
    path = directory / FILE_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {"row_ids": row_ids}))
    with pytest.raises(InputError, match=f"{FILE_NAME}: row_ids are no permutation"):
        verify_dual(directory, new_tokens=0)


def test_permuted_rows_of_ones_own_are_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="initial is permuted"):
        _built(base, tmp_path / "dual", mode="custom", custom_tokens=["a", "b"])
    with pytest.raises(ValueError, match=r"dual\.initial: permuted"):
        DualBuildConfig.model_validate({"mode": "custom", "tokens_file": "x", "initial": "permuted"})


def test_single_latent_cannot_be_permuted(base: Path, tmp_path: Path) -> None:
    build_dual(base, tmp_path / "copy")
    one = DualVocabulary.load(tmp_path / "copy").source_ids[:1]
    with pytest.raises(InputError, match=r"dual\.initial: permuted needs two latents"):
        _built(base, tmp_path / "dual", mode="subset", subset_ids=one)
