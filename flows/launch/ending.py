"""How `latent` ends when it is told to, by Ctrl-C, SIGTERM or SIGHUP: soon, saying so once, with status 128 + signal.

It ends as after an error: what was begun is undone, the Prefect server hears of it, worker processes are stopped. A
scheduler does not wait for that, so after `SECONDS` the process ends as it is, with all that it started. Nothing is
lost by that: what the store holds was committed whole.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SECONDS = 3.5  # from the signal to the end, at most
_AGAIN_SECONDS = 0.05
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ending:
    """The signals of this process while a command runs; `note` is what else is true of it when it is ended."""

    def __init__(self) -> None:
        self.note = ""
        self._told: int | None = None
        self._raised = self._said = False
        self._saying = threading.Lock()

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Turn the first of the signals into SystemExit; whatever is raised after one is its consequence."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        handlers = {number: signal.signal(number, self._leave) for number in _SIGNALS}
        # The kernel's word, not Python's: Python calls a handler between two of its own steps, and not while the main
        # thread loads a model; and Prefect puts its own handler in place of this one.
        earlier = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(reading,), daemon=True).start()
        try:
            yield
        except BaseException:
            if self._told is None:
                raise
            self._say(self._told)
            sys.exit(128 + self._told)
        finally:
            if self._told is None:  # else until the very end
                signal.set_wakeup_fd(earlier)
                for number, handler in handlers.items():
                    signal.signal(number, handler)
                os.close(writing)

    def _leave(self, number: int, frame: FrameType | None) -> None:
        self._told = self._told or number
        if _is_in_finalizer(frame):  # what is raised there is printed and lost: come again in a moment
            threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), number)).start()
        elif not self._raised:
            self._raised = True
            sys.exit(128 + self._told)

    def _watch(self, reading: int) -> None:
        while got := os.read(reading, 1):
            if got[0] in _SIGNALS:
                self._told = self._told or got[0]
                time.sleep(SECONDS)
                self._say(self._told)
                _kill_children()
                os._exit(128 + self._told)
        os.close(reading)

    def _say(self, number: int) -> None:
        with self._saying:
            if not self._said:
                self._said = True
                how = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
                print(how + (self.note and f"; {self.note}"), file=sys.stderr, flush=True)


def _is_in_finalizer(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def _kill_children() -> None:
    import psutil

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()


ENDING = Ending()  # signals are the process's, and so is what is done on them
