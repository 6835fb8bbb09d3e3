"""Peak resident memory of a block of code, as Linux itself counts it."""

from __future__ import annotations

from pathlib import Path

_PROC = Path("/proc/self")


class PeakMemory:
    """The most resident memory of this process, and what of it is beyond what it had at the start, in bytes.

    The kernel keeps the high-water mark, so nothing is sampled and no moment is missed; entering resets it.
    """

    def __init__(self) -> None:
        self.start = self.peak = 0

    def __enter__(self) -> PeakMemory:
        (_PROC / "clear_refs").write_text("5")
        self.start = self.peak = _resident("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        self.peak = _resident("VmHWM")

    @property
    def beyond_start(self) -> int:
        return self.peak - self.start


def _resident(name: str) -> int:
    lines = dict(line.split(":", 1) for line in (_PROC / "status").read_text().splitlines())
    return int(lines[name].split()[0]) * 1024
