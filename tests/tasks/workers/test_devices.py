"""GPUs are dealt out: one group a worker, the user's own restriction kept, none invented."""

from __future__ import annotations

import pytest

from latent_core.errors import InputError
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
