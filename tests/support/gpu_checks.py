"""Checks of `bench.gpu_check` that go wrong, for the processes that run them: nothing heavy is imported here."""

from __future__ import annotations

import os
import time

from bench.gpu_check.findings import Findings
from bench.gpu_check.place import Place


def says_and_raises(place: Place, findings: Findings) -> None:
    """One row as expected, one not, then an error."""
    findings.note("first", f"CUDA_VISIBLE_DEVICES is {os.environ.get('CUDA_VISIBLE_DEVICES')!r}")
    findings.expect(False, "second", "not as it should be")
    raise RuntimeError("a line\nand another")


def dies(place: Place, findings: Findings) -> None:
    """As a process does that a signal or a library ends."""
    findings.note("first", "said before it died")
    print("printed before it died", flush=True)
    os._exit(9)


def never_ends(place: Place, findings: Findings) -> None:
    """As a process does that a device hangs."""
    time.sleep(600)


def needs_another_library(place: Place, findings: Findings) -> None:
    """What is not installed here."""
    import a_library_that_nobody_has.part  # type: ignore[import-not-found]  # noqa: F401


def needs_a_module_of_ours(place: Place, findings: Findings) -> None:
    """A fault of the repository."""
    import latent_core.nothing  # type: ignore[import-not-found]  # noqa: F401
