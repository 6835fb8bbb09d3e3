"""One pass of an engine over what several threads ask of it, each as if it had the engine to itself.

Every completion has a seed of its own, so whom it shares a batch with does not change it. A pass starts when all
parties that are left wait for completions. Requests go in party by party in turn: the first question of all, the second
of all, so that what their prompts begin with is in the prefix cache when the next party's comes. A party goes on as
soon as its own completions are there. Apart from waiting, one party runs at a time: what they share needs no locks.
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
class _Ask:
    """What a party waits for; `answer` becomes its completions and the seconds that they count for."""

    number: int
    load: Load
    requests: Sequence[Request]
    sampling: SamplingConfig
    finished: Finished | None
    answer: Future[tuple[list[Generation], float]] = field(default_factory=Future)
    found: dict[int, Generation] = field(default_factory=dict)
    tokens: int = 0

    def take(self, ended: Mapping[int, Generation]) -> bool:
        """Whether the last one was among these, by place; what was taken before is not counted again."""
        new = {place: generation for place, generation in ended.items() if place not in self.found}
        if not new:
            return False
        self.found |= new
        self.tokens += sum(len(generation.token_ids) for generation in new.values())
        if self.finished is not None:
            self.finished(new)
        return len(self.found) == len(self.requests)


class JoinedPasses:
    """A table with `parties` seats. `conduct` is called by the thread that may use the engine."""

    def __init__(self, parties: int) -> None:
        self.parties = parties
        self._present = parties
        self._asks: list[_Ask] = []
        self._state = threading.Condition()
        self._turn = threading.Lock()

    @contextmanager
    def seated(self) -> Iterator[None]:
        """What a party does goes inside; each of the `parties` threads must come here once, and leave."""
        try:
            with self._turn:
                yield
        finally:
            with self._state:
                self._present -= 1
                self._state.notify()

    def engine(self, number: int, load: Load) -> SharedEngine:
        """The engine as party `number` sees it; `load` opens it, and is called by the conductor for each pass."""
        return SharedEngine(self, number, load)

    def conduct(self) -> None:
        """Generate until all parties have left. A failure of the engine is raised to those who wait for it."""
        while asks := self._next():
            try:
                self._generate(asks)
            except Exception as error:  # whatever it is: it is theirs who asked, as with any future
                for ask in asks:
                    if not ask.answer.done():
                        ask.answer.set_exception(error)

    def ask(self, ask: _Ask) -> tuple[list[Generation], float]:
        """Wait for completions; others take their turn meanwhile."""
        with self._state:
            self._asks.append(ask)
            self._state.notify()
        self._turn.release()
        try:
            return ask.answer.result()
        finally:
            self._turn.acquire()

    def _next(self) -> list[_Ask]:
        with self._state:
            self._state.wait_for(lambda: len(self._asks) == self._present)
            asks, self._asks = self._asks, []
        return sorted(asks, key=lambda ask: ask.number)

    def _generate(self, asks: Sequence[_Ask]) -> None:
        (sampling,) = {ask.sampling for ask in asks}
        most = max(len(ask.requests) for ask in asks)
        places = [(ask, place) for place in range(most) for ask in asks if place < len(ask.requests)]
        engine = asks[0].load()  # whose time is nobody's: rates count from here, as they do for an engine of one's own
        started = time.monotonic()

        def finished(ended: Mapping[int, Generation]) -> None:
            theirs: dict[int, dict[int, Generation]] = {ask.number: {} for ask in asks}
            for index, generation in ended.items():
                ask, place = places[index]
                theirs[ask.number][place] = generation
            for ask in [ask for ask in asks if ask.take(theirs[ask.number])]:
                # What a party is charged with: its share of the tokens so far.
                share = ask.tokens / max(1, sum(other.tokens for other in asks))
                generations = [ask.found[place] for place in range(len(ask.requests))]
                ask.answer.set_result((generations, share * (time.monotonic() - started)))

        requests = [ask.requests[place] for ask, place in places]
        # Once more at the end, for an engine that reports none on the way.
        finished(dict(enumerate(engine.generate(requests, sampling, finished))))


class SharedEngine:
    """A party's view. `foreign_seconds` is how long it waited for work that was not its own."""

    def __init__(self, passes: JoinedPasses, number: int, load: Load) -> None:
        self._passes, self._number, self._load = passes, number, load
        self.foreign_seconds = 0.0

    @property
    def parties(self) -> int:
        return self._passes.parties

    def generate(
        self, requests: Sequence[Request], sampling: SamplingConfig, finished: Finished | None = None
    ) -> list[Generation]:
        """As the engine's; `finished` is called from the conductor's thread."""
        if not requests:
            return []
        started = time.monotonic()
        generations, own = self._passes.ask(_Ask(self._number, self._load, requests, sampling, finished))
        self.foreign_seconds += time.monotonic() - started - own
        return generations

    def close(self) -> None:
        """The engine is not this party's to close."""
