"""The Prefect server of a run: the one that PREFECT_API_URL names, else a temporary one that lives as long as the run.

Like Prefect's own, the temporary server keeps its database in PREFECT_HOME and ends with the process that started it,
however that ends. Unlike Prefect's own it is out of reach of every signal that is meant for the run: of Ctrl-C and of
schedulers, which signal a group or all processes of a job at once. The run says its last words to it, and then ends it.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx

from latent_core.addresses import TEMPORARY_SERVER
from latent_core.errors import InfrastructureError
from latent_core.processes import deaf_to

START_SECONDS = 180.0  # on a busy machine; 15 to 50 when idle
_STOP_SECONDS = 600.0  # for what it still has to record, of thousands of tasks on a slow disk
_ANSWER_SECONDS = 5.0  # for one look at a server's health
_POLL_SECONDS = 0.1
_PROGRAM = Path(__file__).with_name("server_process.py")

# For the temporary server only, and what is set in the environment goes first: nothing that a server of one run does
# not need, and the states of tasks, which come as events, in one transaction for many instead of one each.
SERVER_SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
}


class TemporaryServer:
    """A Prefect server in a process of its own; what it logs is in `log`."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers. Raises InfrastructureError when it does not."""
        from prefect.settings import get_current_settings

        settings = get_current_settings().to_environment_variables(exclude_unset=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        atexit.register(self.stop)  # before Prefect registers, and so does later, what it still has to send
        with (
            socket.create_server(("127.0.0.1", 0)) as listening,
            self.log.open("wb") as output,
            deaf_to(signal.SIGINT, signal.SIGHUP, signal.SIGTERM),
        ):
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}/api"
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_PROGRAM), str(listening.fileno())],
                env={**SERVER_SETTINGS, **os.environ, **settings},
                stdin=subprocess.PIPE,  # its end is the sign to stop, also when this process is killed
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[listening.fileno()],
                start_new_session=True,
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        with httpx.Client(trust_env=False, timeout=_ANSWER_SECONDS) as client:
            while self._process.poll() is None and time.monotonic() < deadline:
                with suppress(httpx.TransportError):  # not yet
                    if client.get(f"{self.url}/health").is_success:
                        return
                time.sleep(_POLL_SECONDS)
        status = self._process.poll()
        cause = f"gave no answer for {START_SECONDS:g} s" if status is None else f"ended with exit status {status}"
        raise InfrastructureError(
            f"prefect: its temporary server did not start: it {cause}, see {self.log}; or run `prefect server start` "
            "and set PREFECT_API_URL to its address"
        )

    def exit_status(self) -> int | None:
        """How it ended, negative for a signal; None while it runs."""
        return None if self._process is None else self._process.poll()

    def stop(self) -> None:
        """End it: it finishes what it writes. Safe to call again."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ensure_server(logs: Path) -> TemporaryServer | None:
    """Start a temporary server for this process, unless another is configured; its log goes to the folder `logs`.

    Raises InfrastructureError when it does not start, or the configured one does not answer as a Prefect server.
    """
    from prefect.context import refresh_global_settings_context
    from prefect.settings import PREFECT_API_URL

    if PREFECT_API_URL.value():
        _check_configured()
        return None
    server = TemporaryServer(logs.absolute() / f"prefect-server-{os.getpid()}.log")
    server.start()
    os.environ["PREFECT_API_URL"] = os.environ[TEMPORARY_SERVER] = server.url
    refresh_global_settings_context()
    return server


def _check_configured() -> None:
    """Ask before anything is computed: a flow would be told by a long traceback, and after minutes of trying again."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_REQUEST_TIMEOUT, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    try:
        with (
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_API_REQUEST_TIMEOUT: _ANSWER_SECONDS}),
            get_client(sync_client=True) as client,
        ):
            error = client.api_healthcheck()
            if error is not None:
                raise error
            client.raise_for_api_version_mismatch()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, RuntimeError) as error:
        raise InfrastructureError(
            f"PREFECT_API_URL: no Prefect server answers at {_configured()} ({_reason(error)}); start it or correct "
            "the address, or unset PREFECT_API_URL for a temporary server"
        ) from error


def _reason(error: BaseException) -> str:
    """In few words, what is at the bottom of an error of Prefect's client."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    match error:
        case httpx.HTTPStatusError():
            return f"HTTP status {error.response.status_code}"
        case json.JSONDecodeError():
            return "its answer is no JSON"
        case _:
            return (str(error).splitlines() or [type(error).__name__])[0]


def lost(server: TemporaryServer | None, error: Exception) -> InfrastructureError:
    """What to tell of a run whose server, the temporary one or the configured one, does not answer any more."""
    go_on = "what was finished is in the store"
    if server is None:
        return InfrastructureError(
            f"prefect: the server at PREFECT_API_URL, {_configured()}, does not answer ({error}); {go_on}, so start "
            "the server and repeat the command"
        )
    status = server.exit_status()
    state = "does not answer" if status is None else f"ended with exit status {status}"
    return InfrastructureError(
        f"prefect: its temporary server {state} ({error}), see {server.log}; {go_on}, so repeat the command"
    )


def _configured() -> str:
    """The address as it is set, without a password in it."""
    from prefect.settings import PREFECT_API_URL

    return re.sub(r"//[^/@]*@", "//", str(PREFECT_API_URL.value()))
