"""The process of a temporary Prefect server (see `flows.launch.server`): `python server_process.py DESCRIPTOR`.

DESCRIPTOR is of the listening socket. It serves until its standard input ends. It is run as a file, and so imports
nothing of this project.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn
from prefect.server.api.server import create_app
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.database.dependencies import MODELS_DEPENDENCIES
from prefect.server.utilities.messaging.memory import METRICS
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL
from prefect.utilities.asyncutils import add_event_loop_shutdown_callback
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, AsyncSessionTransaction, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

_PATIENCE_SECONDS = 3600.0  # of a request for the connection: whoever asked gives up earlier
_RECORDING_SECONDS = 60.0  # without progress, while events are not in the database yet
_GRACE_SECONDS = 4  # for what is still asked and written, once it is to end


class OneConnection(AioSqliteConfiguration):
    """SQLite through a single connection, whose users queue for it.

    Prefect's own many connections ask for SQLite's one write lock again and again, and some never get it. Worse, its
    transactions read before they write, and SQLite cannot let one write whose reading another's writing has made old:
    it says "database is locked" at once, however long the busy time-out is. A transaction that takes the write lock
    before it reads cannot fail so; it waits for other processes as long as the busy time-out says, which is 60 s.
    """

    def __init__(self, connection_url: str) -> None:
        super().__init__(connection_url)
        self._engines: dict[asyncio.AbstractEventLoop, AsyncEngine] = {}  # migrations have a loop of their own

    async def engine(self) -> AsyncEngine:
        """As Prefect makes it for a database in memory, which has one connection too."""
        loop = asyncio.get_running_loop()
        if loop not in self._engines:
            engine = create_async_engine(
                self.connection_url,
                paramstyle="named",
                poolclass=AsyncAdaptedQueuePool,
                pool_size=1,
                max_overflow=0,
                pool_timeout=_PATIENCE_SECONDS,
            )
            event.listen(engine.sync_engine, "connect", self.setup_sqlite)
            event.listen(engine.sync_engine, "begin", self.begin_sqlite_stmt)
            self._engines[loop] = engine
            await add_event_loop_shutdown_callback(engine.dispose)
        return self._engines[loop]

    @asynccontextmanager
    async def begin_transaction(
        self, session: AsyncSession, with_for_update: bool = False
    ) -> AsyncGenerator[AsyncSessionTransaction, None]:
        async with super().begin_transaction(session, with_for_update=True) as transaction:
            yield transaction


def main() -> None:
    """Serve until standard input ends."""
    url = PREFECT_API_DATABASE_CONNECTION_URL.value()
    if url.startswith("sqlite"):
        MODELS_DEPENDENCIES["database_config"] = OneConnection(url)
    config = uvicorn.Config(
        create_app(ephemeral=True, final=True),
        lifespan="on",
        log_level="error",
        timeout_graceful_shutdown=_GRACE_SECONDS // 2,
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_end_with_input, args=(server,), daemon=True).start()
    server.run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
    os._exit(0)  # all is written; taking the interpreter apart takes seconds, for which the run would wait


def _end_with_input(server: uvicorn.Server) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    before, since = None, time.monotonic()
    while (now := _events()) != before or now[0] > now[1]:  # else what has come last is lost
        if now != before:
            before, since = now, time.monotonic()
        elif time.monotonic() - since > _RECORDING_SECONDS:
            break
        time.sleep(0.3)
    server.should_exit = True
    time.sleep(_GRACE_SECONDS)
    os._exit(0)


def _events() -> tuple[int, int]:
    """How many deliveries of events, which hold the states of tasks, have come, and how many are dealt with."""
    counts = METRICS["events"]
    return counts["published"], counts["consumed"]


if __name__ == "__main__":
    main()
