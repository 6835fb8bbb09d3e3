"""Peak resident memory of a block of code."""

from __future__ import annotations

import os
import threading

import psutil


class PeakMemory:
    """The most resident memory of this process, sampled every 5 ms, beyond what it had at the start, in bytes."""

    def __init__(self) -> None:
        self._process = psutil.Process(os.getpid())
        self.start = self._peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self.start = self._peak = self._process.memory_info().rss
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def peak(self) -> int:
        return self._peak

    @property
    def beyond_start(self) -> int:
        return self._peak - self.start

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self._peak = max(self._peak, self._process.memory_info().rss)
