"""A scorer of the packaged model, and servers of it on a free port."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import uvicorn
from fastapi import FastAPI

from latent_core.models.source import open_model
from latent_core.reward.scorer import Scorer

MINI = open_model("latent-mini").directory


class Running:
    """An application behind a real uvicorn, in a thread."""

    def __init__(self, app: FastAPI) -> None:
        self.server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=20))
        ready = threading.Event()
        startup = self.server.startup

        async def announced(*args: object, **options: object) -> None:
            await startup(*args, **options)
            ready.set()

        self.server.startup = announced
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        assert ready.wait(60)
        self.url = f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(30)


@pytest.fixture(scope="session")
def scorer() -> Scorer:
    return Scorer(MINI)


@pytest.fixture
def run() -> Iterator[Callable[[FastAPI], Running]]:
    started: list[Running] = []

    def start(app: FastAPI) -> Running:
        started.append(Running(app))
        return started[-1]

    yield start
    for running in started:
        running.stop()
