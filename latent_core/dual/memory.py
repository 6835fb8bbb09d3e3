"""Peak resident memory of this process, measured from a chosen moment where the system allows it."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


def start_peak_measurement() -> None:
    """Set the kernel's high-water mark to the present use; without that right the mark stays the process's own."""
    if _CLEAR_REFS.exists():
        try:
            _CLEAR_REFS.write_text("5")  # proc(5): 5 resets the peak resident set size
        except PermissionError:
            return


def peak_rss_bytes() -> int:
    """The highest resident set size, in bytes, since `start_peak_measurement` (Linux) or since the process began."""
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
