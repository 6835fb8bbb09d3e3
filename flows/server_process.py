"""The process of a temporary Prefect server (see `flows.server`): `python server_process.py DESCRIPTOR`.

DESCRIPTOR is of the listening socket. It serves until its standard input ends. It is run as a file, and so imports
nothing of this project.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import uvicorn

_GRACE_SECONDS = 4  # for what is still asked and written, once it is to end


def main() -> None:
    import uvicorn
    from prefect.server.api.server import create_app

    config = uvicorn.Config(
        lambda: create_app(ephemeral=True, final=True),
        factory=True,
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
