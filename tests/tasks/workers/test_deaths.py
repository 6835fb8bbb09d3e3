"""How a dead worker is reported: by signal, for want of memory, or because its lease was lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from latent_core.config.runtime import RuntimeConfig
from latent_core.errors import InfrastructureError
from tasks.workers.deaths import LOST_LEASE_EXIT, cause_of_death, exit_code_of, out_of_memory_kills
from tasks.workers.processes import WorkerPool
from tests.support.toy_stages import Numbers, ToyInputs, count_up


@pytest.mark.parametrize(
    ("exit_code", "kills", "words"),
    [
        (-9, (3, 3), "was killed by SIGKILL: by hand"),
        (-9, (3, 4), "was killed by SIGKILL: the kernel was out of memory"),
        (-9, (None, None), "was killed by SIGKILL: by hand"),
        (-11, (3, 4), "was killed by SIGSEGV"),
        (1, (3, 3), "ended with exit code 1"),
        (LOST_LEASE_EXIT, (3, 3), "another run took over its lease"),
        (None, (3, 3), "died"),
    ],
)
def test_cause_of_death_is_told_from_exit_code_and_kernel(
    exit_code: int | None, kills: tuple[int | None, int | None], words: str
) -> None:
    assert words in cause_of_death(exit_code, *kills)


def test_kernels_count_of_kills_is_read_from_the_first_file_that_has_one(tmp_path: Path) -> None:
    (tmp_path / "without").write_text("low 0\n")
    (tmp_path / "events").write_text("low 0\noom 9\noom_kill 7\n")
    assert out_of_memory_kills(tuple(tmp_path / name for name in ("absent", "without", "events"))) == 7
    assert out_of_memory_kills((tmp_path / "absent",)) is None


class ReapedElsewhere:
    """A dead process whose exit code another thread has taken from the kernel and stores a little later."""

    def __init__(self, looks: int) -> None:
        self._looks = looks

    @property
    def exitcode(self) -> int | None:
        self._looks -= 1
        return -9 if self._looks < 0 else None

    def join(self, timeout: float | None = None) -> None:
        """Returns at once, as `multiprocessing` does for a child that is gone."""


def test_exit_code_that_another_thread_reaps_is_waited_for() -> None:
    assert exit_code_of(ReapedElsewhere(looks=3), patience=60.0) == -9


def test_exit_code_that_nobody_stores_is_unknown_after_the_patience() -> None:
    assert exit_code_of(ReapedElsewhere(looks=10**9), patience=0.05) is None


def test_killed_worker_is_reported_with_its_signal_and_the_last_lines_of_its_log(tmp_path: Path) -> None:
    pool = WorkerPool(RuntimeConfig(work_dir=str(tmp_path / "work")), str(tmp_path / "store"))
    call = count_up.call(Numbers(count=3, log=str(tmp_path / "log"), trouble="killed_once"), ToyInputs())
    with pytest.raises(InfrastructureError, match=r"(?s)was killed by SIGKILL.*Last lines of .*about to die"):
        pool.compute(call)
    assert pool.compute(call) == call.ref
    pool.close()
