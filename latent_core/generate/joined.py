"""Joined generation: one engine generates for several conditions of an evaluation in the same passes.

Each condition is evaluated by a thread of its own, as if it had the engine to itself. Every completion has its own
seed, so the batch it is in does not change it. A pass starts when all conditions that are not finished wait for
completions. Requests are interleaved: the first question of every condition, then the second, so that the prefix cache
still holds what the prompts of one question have in common. A condition continues as soon as its own completions are
there. Apart from waiting, one condition runs at a time: what they share needs no locks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

from latent_core.config.sampling import SamplingConfig
from latent_core.generate.engine import Engine, Finished, Generation, Request

Load = Callable[[], Engine]


@dataclass
class _Batch:
    """The requests that a condition waits for; `answer` becomes its completions and the seconds they are charged."""

    number: int
    load: Load
    requests: Sequence[Request]
    sampling: SamplingConfig
    finished: Finished | None
    answer: Future[tuple[list[Generation], float]] = field(default_factory=Future)
    found: dict[int, Generation] = field(default_factory=dict)
    tokens: int = 0

    def take(self, ended: Mapping[int, Generation]) -> bool:
        """Take completions, by place; returns whether these were the last. One taken before is not counted again."""
        new = {place: generation for place, generation in ended.items() if place not in self.found}
        if not new:
            return False
        self.found |= new
        self.tokens += sum(len(generation.token_ids) for generation in new.values())
        if self.finished is not None:
            self.finished(new)
        return len(self.found) == len(self.requests)


class JoinedPasses:
    """Passes of one engine for so many `conditions`. The thread that may use the engine calls `generate`."""

    def __init__(self, conditions: int) -> None:
        self.conditions = conditions
        self._unfinished = conditions
        self._waiting: list[_Batch] = []
        self._state = threading.Condition()
        self._turn = threading.Lock()

    @contextmanager
    def condition(self) -> Iterator[None]:
        """A condition is evaluated inside; each of the `conditions` threads must enter once, and leave."""
        try:
            with self._turn:
                yield
        finally:
            with self._state:
                self._unfinished -= 1
                self._state.notify()

    def engine(self, number: int, load: Load) -> SharedEngine:
        """The engine as condition `number` sees it; `load` opens it, and is called for each pass by its thread."""
        return SharedEngine(self, number, load)

    def generate(self) -> None:
        """Generate until all conditions are finished. An engine's failure is raised to those that wait for it."""
        while batches := self._next():
            try:
                self._pass(batches)
            except Exception as error:  # whatever it is, whoever waits gets it, as with any future
                for batch in batches:
                    if not batch.answer.done():
                        batch.answer.set_exception(error)

    def completions_of(self, batch: _Batch) -> tuple[list[Generation], float]:
        """Wait for completions; other conditions run meanwhile."""
        with self._state:
            self._waiting.append(batch)
            self._state.notify()
        self._turn.release()
        try:
            return batch.answer.result()
        finally:
            self._turn.acquire()

    def _next(self) -> list[_Batch]:
        with self._state:
            self._state.wait_for(lambda: len(self._waiting) == self._unfinished)
            batches, self._waiting = self._waiting, []
        return sorted(batches, key=lambda batch: batch.number)

    def _pass(self, batches: Sequence[_Batch]) -> None:
        (sampling,) = {batch.sampling for batch in batches}
        most = max(len(batch.requests) for batch in batches)
        places = [(batch, place) for place in range(most) for batch in batches if place < len(batch.requests)]
        engine = batches[0].load()  # loading counts for none: rates count from here, as without joining
        started = time.monotonic()

        def finished(ended: Mapping[int, Generation]) -> None:
            theirs: dict[int, dict[int, Generation]] = {batch.number: {} for batch in batches}
            for index, generation in ended.items():
                batch, place = places[index]
                theirs[batch.number][place] = generation
            for batch in [batch for batch in batches if batch.take(theirs[batch.number])]:
                # A condition is charged its share of the tokens so far.
                share = batch.tokens / max(1, sum(other.tokens for other in batches))
                generations = [batch.found[place] for place in range(len(batch.requests))]
                batch.answer.set_result((generations, share * (time.monotonic() - started)))

        requests = [batch.requests[place] for batch, place in places]
        # Once more at the end, for an engine that reports none on the way.
        finished(dict(enumerate(engine.generate(requests, sampling, finished))))


class SharedEngine:
    """The engine as one condition sees it. `waited_seconds` is how long it waited for the work of the others."""

    def __init__(self, passes: JoinedPasses, number: int, load: Load) -> None:
        self._passes, self._number, self._load = passes, number, load
        self.waited_seconds = 0.0

    @property
    def conditions(self) -> int:
        return self._passes.conditions

    def generate(
        self, requests: Sequence[Request], sampling: SamplingConfig, finished: Finished | None = None
    ) -> list[Generation]:
        """As the engine's; `finished` is called by the thread that uses the engine."""
        if not requests:
            return []
        started = time.monotonic()
        generations, own = self._passes.completions_of(_Batch(self._number, self._load, requests, sampling, finished))
        self.waited_seconds += time.monotonic() - started - own
        return generations

    def close(self) -> None:
        """The engine belongs to all conditions."""
