"""An exported folder is whole or not there, and never takes the place of something."""

from __future__ import annotations

from pathlib import Path

import pytest

from latent_core.errors import InputError
from latent_core.export.folder import new_folder


def test_new_folder_appears_with_all_of_its_files_also_in_the_place_of_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("deep/new", "empty"):
        with new_folder(tmp_path / name) as folder:
            (folder / "file").write_text("x")
            assert not (tmp_path / name / "file").exists()
        assert (tmp_path / name / "file").read_text() == "x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "empty"]


def test_new_folder_keeps_the_empty_folder_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path / "here")
    for target in (Path(), tmp_path / "link"):  # a mounted volume cannot be replaced either
        before = target.stat().st_ino
        with pytest.raises(KeyError), new_folder(target):
            raise KeyError
        with new_folder(target) as folder:
            (folder / "data").mkdir()
            (folder / "data" / "file").write_text("x")
        assert target.stat().st_ino == before and [path.name for path in target.iterdir()] == ["data"]
        assert (target / "data" / "file").read_text() == "x"


def test_new_folder_of_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), new_folder(tmp_path / "out") as folder:
        (folder / "half").write_text("x")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_new_folder_in_the_place_of_files_is_refused_and_they_stay(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in ("full", "file"):
        with pytest.raises(InputError, match=rf"^DIR: .*{name} is not empty"), new_folder(tmp_path / name):
            raise AssertionError
    with pytest.raises(InputError, match=r"^DIR: .* cannot be written"), new_folder(tmp_path / "file" / "below"):
        raise AssertionError
    assert (tmp_path / "full" / "mine").read_text() == "x"
