"""A stand-in for the part of Ray that the pool uses: actors in this process, on as many CPUs as a test gives it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from types import SimpleNamespace
from typing import Any


class RayError(Exception):
    """As in Ray, the base of the two below."""


class RayActorError(RayError):
    """An actor is gone."""


class RayTaskError(RayError):
    """A call raised `cause`."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _Actor:
    def __init__(self, ray: FakeRay, build: Callable[[], Any]) -> None:
        self._ray = ray
        self._build = build
        self.alive = True
        self._instance: Any = None
        self._starting = threading.Lock()

    def __getattr__(self, method: str) -> Any:
        return SimpleNamespace(remote=lambda *arguments: self._start(method, arguments))

    def _start(self, method: str, arguments: tuple[Any, ...]) -> Future[Any]:
        answer: Future[Any] = Future()
        # A daemon, unlike an executor's threads: an actor that waits for room must not keep the tests from ending.
        threading.Thread(target=self._answer, args=(answer, method, arguments), daemon=True).start()
        return answer

    def _answer(self, answer: Future[Any], method: str, arguments: tuple[Any, ...]) -> None:
        try:
            answer.set_result(self._call(method, arguments))
        except RayError as error:
            answer.set_exception(error)

    def _call(self, method: str, arguments: tuple[Any, ...]) -> Any:
        with self._starting:
            if self._instance is None:
                self._ray.cpus.acquire()
                self._instance = self._build()
        if not self.alive:
            raise RayActorError("the actor is dead")
        try:
            return getattr(self._instance, method)(*arguments)
        except MachineLost as error:
            self.alive = False
            self._ray.cpus.release()
            raise RayActorError("the actor's node has died") from error
        except (ValueError, OSError, RuntimeError) as error:
            raise RayTaskError(error) from error


class MachineLost(BaseException):
    """Raised by a stage to play the death of its machine."""


class FakeRay:
    """Stands in for the module `ray`."""

    def __init__(self, cpus: int, node_cpus: float = 1.0, node_gpus: float = 0.0) -> None:
        self.exceptions = SimpleNamespace(RayError=RayError, RayActorError=RayActorError, RayTaskError=RayTaskError)
        self.cpus = threading.Semaphore(cpus)
        self.killed: list[Any] = []
        self.actors_started = 0
        self._node = {"CPU": node_cpus} | ({"GPU": node_gpus} if node_gpus else {})

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return dict(self._node)

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": dict(self._node)}]

    def remote(self, kind: type) -> Any:
        def build(*arguments: Any) -> _Actor:
            self.actors_started += 1
            return _Actor(self, lambda: kind(*arguments))

        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=build))

    def wait(self, answers: list[Future[Any]], timeout: float) -> tuple[list[Any], list[Any]]:
        done, pending = wait(answers, timeout)
        return list(done), list(pending)

    def get(self, answer: Future[Any]) -> Any:
        return answer.result()

    def kill(self, actor: Any) -> None:
        self.killed.append(actor)
