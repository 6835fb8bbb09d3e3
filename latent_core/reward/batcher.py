"""Merges requests that wait at the same time into one batch: a queue, and one thread that owns the model.

While a batch is computed the next one gathers, so that batches grow with the load and a lone request waits for nothing
but `linger` seconds.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


class Overloaded(Exception):
    """Too many requests wait already, or the batcher is closing."""


class Batcher(Generic[Asked, Answered]):
    """Calls `answer` with up to `largest` waiting items at once; it gives a result or an exception for each, in order.

    An exception that `answer` itself raises goes to all of that batch. At most `capacity` items wait.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Asked]], Sequence[Answered | Exception]],
        *,
        largest: int = 64,
        capacity: int = 4_096,
        linger: float = 0.004,
        observe: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._answer = answer
        self._largest, self._capacity, self._linger = largest, capacity, linger
        self._observe = observe
        self._waiting: deque[tuple[Asked, Future[Answered]]] = deque()
        self._changed = threading.Condition()
        self._running: list[Future[Answered]] = []
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="scorer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def submit(self, items: Sequence[Asked]) -> list[Future[Answered]]:
        """A future for each item; a future that is cancelled while it waits costs nothing. Raises Overloaded."""
        futures: list[Future[Answered]] = [Future() for _ in items]
        with self._changed:
            if self._closed:
                raise Overloaded("the server is shutting down")
            if len(self._waiting) + len(items) > self._capacity:
                raise Overloaded(f"{len(self._waiting)} completions wait already; try again later")
            self._waiting.extend(zip(items, futures, strict=True))
            self._changed.notify()
        return futures

    def close(self) -> None:
        """Take nothing more, answer what waits, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def abandon(self) -> None:
        """Take nothing more, and refuse what is not answered yet with Overloaded, what is being computed too."""
        with self._changed:
            self._closed = True
            left = [*self._running, *(future for _, future in self._waiting)]
            self._waiting.clear()
            self._changed.notify()
        for future in left:
            with suppress(InvalidStateError):  # answered, or cancelled, meanwhile
                future.set_exception(Overloaded("the server is shutting down"))

    def _work(self) -> None:
        while batch := self._take():
            running = [(item, future) for item, future in batch if future.set_running_or_notify_cancel()]
            if not running:
                continue
            self._running = [future for _, future in running]
            self._observe(len(running))
            try:
                results = self._answer([item for item, _ in running])
            except Exception as error:  # handed to those who asked; the thread must outlive it
                results = [error] * len(running)
            for (_, future), result in zip(running, results, strict=True):
                with suppress(InvalidStateError):  # abandoned
                    if isinstance(result, Exception):
                        future.set_exception(result)
                    else:
                        future.set_result(result)

    def _take(self) -> list[tuple[Asked, Future[Answered]]]:
        """What waits now; empty when the batcher is closed and nothing does."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            self._changed.wait_for(lambda: len(self._waiting) >= self._largest or self._closed, self._linger)
            return [self._waiting.popleft() for _ in range(min(self._largest, len(self._waiting)))]
