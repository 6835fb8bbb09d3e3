"""The process of a temporary Prefect server (see `flows.server`): `python server_process.py DESCRIPTOR`.

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
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

_GRACE_SECONDS = 4  # for what is still asked and written, once it is to end


class OneWriter(AioSqliteConfiguration):
    """SQLite with one transaction at a time.

    Prefect's transactions read before they write, and SQLite cannot let one write whose reading another's writing has
    made old: it says "database is locked" at once, however long its busy time-out is. A transaction that takes the
    write lock before it reads cannot fail so. Within this process they queue, instead of asking again and again; other
    processes with the same database are waited for as long as the busy time-out says, which is 60 s.
    """

    def __init__(self, connection_url: str) -> None:
        super().__init__(connection_url)
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def begin_transaction(
        self, session: AsyncSession, with_for_update: bool = False
    ) -> AsyncGenerator[AsyncSessionTransaction, None]:
        async with self._turn, super().begin_transaction(session, with_for_update=True) as transaction:
            yield transaction


def main() -> None:
    """Serve until standard input ends."""
    url = PREFECT_API_DATABASE_CONNECTION_URL.value()
    if url.startswith("sqlite"):
        MODELS_DEPENDENCIES["database_config"] = OneWriter(url)
    config = uvicorn.Config(
        create_app(ephemeral=True, final=True),
        lifespan="on",
        log_level="error",
        timeout_graceful_shutdown=_GRACE_SECONDS // 2,
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_end_with_input, args=(server,), daemon=True).start()
    server.run(sockets=[socket.socket(fileno=int(sys.argv[1]))])


def _end_with_input(server: uvicorn.Server) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    server.should_exit = True
    time.sleep(_GRACE_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    main()
