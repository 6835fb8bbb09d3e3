"""GPUs are dealt out: one group a worker, the user's own restriction kept, none invented."""

from __future__ import annotations

from pathlib import Path

import pytest

from latent_core.errors import InputError
from tasks.workers import devices
from tasks.workers.devices import VARIABLE, devices_of, visible_devices


def test_each_worker_has_devices_of_its_own_and_extra_workers_share() -> None:
    devices = ["0", "2", "5", "7"]
    assert [devices_of(worker, 1, devices) for worker in range(5)] == ["0", "2", "5", "7", "0"]
    assert [devices_of(worker, 2, devices) for worker in range(3)] == ["0,2", "5,7", "0,2"]
    assert devices_of(0, 1, []) is None
    with pytest.raises(InputError, match="devices_per_worker"):
        devices_of(0, 8, devices)


@pytest.mark.parametrize(("named", "expected"), [("1, 3", ["1", "3"]), ("", []), ("GPU-ab12", ["GPU-ab12"])])
def test_users_own_choice_of_devices_is_kept(monkeypatch: pytest.MonkeyPatch, named: str, expected: list[str]) -> None:
    monkeypatch.setenv(VARIABLE, named)
    assert visible_devices() == expected


@pytest.mark.parametrize("driver", [["0000:01:00.0", "0000:02:00.0"], [], None], ids=["folder", "empty", "no folder"])
def test_devices_without_a_choice_are_counted_from_the_driver_or_else_from_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: list[str] | None
) -> None:
    files = tmp_path / "dev"
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-caps"):
        (files / name).mkdir(parents=True)
    for name in driver or ():
        (tmp_path / "gpus" / name).mkdir(parents=True)
    if driver is not None:
        (tmp_path / "gpus").mkdir(exist_ok=True)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(devices, "_DRIVER", tmp_path / "gpus")
    monkeypatch.setattr(devices, "_FILES", files)
    assert visible_devices() == ["0", "1"]


def test_devices_of_a_machine_without_gpus_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(devices, "_DRIVER", tmp_path / "gpus")
    monkeypatch.setattr(devices, "_FILES", tmp_path)
    assert visible_devices() == []
