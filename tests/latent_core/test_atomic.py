"""A reader sees a whole file or folder or none, whatever happens to its writer or beside it."""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path

import pytest

from latent_core.atomic import atomic_file, atomic_folder, leftovers, scratch_file


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_takes_the_place_of_the_old_one_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")
    with atomic_file(target) as partial:
        partial.write_text("new")
        assert target.read_text() == "old" and partial.parent == tmp_path
    assert target.read_text() == "new" and _names(tmp_path) == ["a.json"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_file_whose_writer_fails_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(error), atomic_file(target) as partial:
        partial.write_text("ne")
        raise error
    assert target.read_text() == "old" and _names(tmp_path) == ["a.json"]


def test_file_that_cannot_take_its_place_raises_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError), atomic_file(tmp_path / "a") as partial:
        partial.write_text("new")
    assert _names(tmp_path) == ["a"]


def test_writers_of_one_file_at_once_share_no_name_and_the_last_ones_file_stays(tmp_path: Path) -> None:
    target = tmp_path / "a"
    random.seed(0)
    with atomic_file(target) as last:
        last.write_text("last")
        random.seed(0)  # as another process of the same training does
        with atomic_file(target) as first:
            first.write_text("first")
        assert target.read_text() == "first"
    assert target.read_text() == "last" and _names(tmp_path) == ["a"]


def test_scratch_file_is_gone_when_the_block_ends_and_the_blocks_own_error_is_told(tmp_path: Path) -> None:
    with scratch_file(tmp_path / "a") as partial:
        partial.write_text("x")
        os.link(partial, tmp_path / "kept")
    assert _names(tmp_path) == ["kept"]
    with pytest.raises(ValueError, match="mine"), scratch_file(tmp_path / "a") as partial:
        partial.mkdir()  # which cannot be unlinked
        raise ValueError("mine")


def test_folder_appears_when_the_block_ends_and_its_parents_are_made(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    with atomic_folder(target) as folder:
        (folder / "file").write_text("x")
        assert not target.exists() and folder.parent == target.parent
    assert _names(tmp_path / "deep") == ["model"] and (target / "file").read_text() == "x"


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_folder_whose_writer_fails_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), atomic_folder(tmp_path / "model") as folder:
        (folder / "half").write_text("x")
        raise error
    assert _names(tmp_path) == []


def test_writers_of_one_folder_at_once_share_no_name_and_the_first_ones_folder_stays(tmp_path: Path) -> None:
    target = tmp_path / "model"
    random.seed(0)
    with atomic_folder(target) as last:
        (last / "file").write_text("last")
        random.seed(0)
        with atomic_folder(target) as first:
            (first / "file").write_text("first")
    assert (target / "file").read_text() == "first" and _names(tmp_path) == ["model"]


def test_folder_in_the_place_of_a_file_raises_and_the_file_stays(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("mine")
    with pytest.raises(OSError, match="model"), atomic_folder(tmp_path / "model") as folder:
        (folder / "file").write_text("x")
    assert (tmp_path / "model").read_text() == "mine" and _names(tmp_path) == ["model"]


def test_files_and_folders_have_the_permissions_that_the_process_gives_to_new_ones(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_file(tmp_path / "file") as partial:
            partial.write_text("x")
        with atomic_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in tmp_path.iterdir()}
    assert modes == {"file": "0o640", "folder": "0o750"}


def test_leftovers_are_those_of_one_target_alone(tmp_path: Path) -> None:
    (tmp_path / ".a[1].lock").touch()
    with atomic_folder(tmp_path / "a[1]") as mine, atomic_folder(tmp_path / "a[1].b"), atomic_folder(tmp_path / "a1"):
        assert leftovers(tmp_path / "a[1]") == [mine]
    assert leftovers(tmp_path / "a[1]") == []
