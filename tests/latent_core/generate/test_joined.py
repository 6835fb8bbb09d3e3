"""Joined passes: whoever shares one gets what it would have got alone, as early as it is there, or its error."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from latent_core.config.sampling import SamplingConfig
from latent_core.errors import InfrastructureError
from latent_core.generate.engine import Engine, Finished, Generation, Request
from latent_core.generate.joined import JoinedPasses, SharedEngine

SAMPLING = SamplingConfig()
PATIENCE = 30.0


class Echo:
    """An engine that says a prompt twice, and remembers what came in one pass."""

    def __init__(self) -> None:
        self.passes: list[list[tuple[int, ...]]] = []

    def generate(
        self, requests: Sequence[Request], sampling: SamplingConfig, finished: Finished | None = None
    ) -> list[Generation]:
        self.passes.append([request.prompt_ids for request in requests])
        said = [Generation(request.prompt_ids * 2, "stop") for request in requests]
        for index in self.order(len(said)):
            if finished is not None:
                finished({index: said[index]})
        return said

    def order(self, size: int) -> Sequence[int]:
        return range(size)

    def close(self) -> None:
        pass


def _together(engine: Engine, *conditions: Callable[[SharedEngine], object]) -> list[Future[object]]:
    passes = JoinedPasses(len(conditions))

    def evaluate(number: int) -> object:
        with passes.condition():
            return conditions[number](passes.engine(number, lambda: engine))

    with ThreadPoolExecutor(len(conditions)) as threads:
        futures = [threads.submit(evaluate, number) for number in range(len(conditions))]
        passes.generate()
    return futures


def _generate(engine: SharedEngine, condition: int, *places: int) -> list[tuple[int, ...]]:
    requests = [Request((condition, place), seed=place) for place in places]
    return [generation.token_ids for generation in engine.generate(requests, SAMPLING)]


def test_conditions_share_a_pass_question_by_question_and_each_gets_its_own() -> None:
    engine = Echo()
    first, second, third = _together(
        engine,
        lambda shared: _generate(shared, 0, 0, 1, 2),
        lambda shared: _generate(shared, 1, 0, 1, 2),
        lambda shared: _generate(shared, 2, 0),
    )
    assert engine.passes == [[(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (0, 2), (1, 2)]]
    assert first.result() == [(0, place, 0, place) for place in range(3)]
    assert second.result() == [(1, place, 1, place) for place in range(3)]
    assert third.result() == [(2, 0, 2, 0)]


def test_condition_that_asks_again_or_not_at_all_keeps_nobody_waiting() -> None:
    engine = Echo()
    _together(
        engine,
        lambda shared: (_generate(shared, 0, 0), _generate(shared, 0, 1)),
        lambda shared: _generate(shared, 1, 0),
        lambda shared: _generate(shared, 2),
    )
    assert engine.passes == [[(0, 0), (1, 0)], [(0, 1)]]


def test_condition_goes_on_as_soon_as_its_own_completions_are_there() -> None:
    went_on = threading.Event()

    class Late(Echo):
        def order(self, size: int) -> Sequence[int]:
            yield 0
            assert went_on.wait(PATIENCE)  # the pass ends only after the first condition was let go
            yield 1

    def quick(shared: SharedEngine) -> None:
        _generate(shared, 0, 0)
        went_on.set()

    futures = _together(Late(), quick, lambda shared: _generate(shared, 1, 0))
    assert [future.exception() for future in futures] == [None, None]


def test_failing_engine_is_everybodys_error_who_waits_and_a_failing_condition_is_its_own() -> None:
    class Broken(Echo):
        def generate(
            self, requests: Sequence[Request], sampling: SamplingConfig, finished: Finished | None = None
        ) -> list[Generation]:
            raise InfrastructureError("the device is gone")

    def stumble(shared: SharedEngine) -> None:
        raise KeyError("mine")

    futures = _together(
        Broken(),
        lambda shared: _generate(shared, 0, 0),
        stumble,
        lambda shared: _generate(shared, 2, 0),
        lambda shared: 7,
    )
    for place in (0, 2):
        with pytest.raises(InfrastructureError, match="device is gone"):
            futures[place].result()
    with pytest.raises(KeyError, match="mine"):
        futures[1].result()
    assert futures[3].result() == 7
