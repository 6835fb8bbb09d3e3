"""The Prefect server of a run: a configured one that is none is named at once; a temporary one ends with its run."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
import psutil
import pytest

from flows.launch import server
from latent_core.errors import InfrastructureError

# The owner says where its server is and then waits for a line; with `load` in it a flow is run first.
OWNER = """
import json, os, sys
from pathlib import Path

os.environ["PREFECT_LOGGING_LEVEL"] = "CRITICAL"
from flows.launch.server import ensure_server

started = ensure_server(Path(os.environ["PREFECT_HOME"], "logs"))
print(json.dumps([started.url, started._process.pid, str(started.log)]), flush=True)
if sys.stdin.readline() == "load\\n":
    from prefect import flow, task
    from prefect.task_runners import ThreadPoolTaskRunner

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=32))
    def load():
        for answer in [task(name="t", tags=[f"tag-{n}"])(lambda n=n: n).submit() for n in range(80)]:
            answer.result()

    load()
"""


@contextmanager
def _answering(status: int, text: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as httpd:
        Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}/api"
        httpd.shutdown()


@contextmanager
def _silent() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/api"


@contextmanager
def _nothing(url: str) -> Iterator[str]:
    yield url


@pytest.mark.parametrize(
    ("configured", "reason"),
    [
        (_nothing("http://127.0.0.1:9/api"), "Connection refused"),
        (_nothing("127.0.0.1:4200/api"), "missing an 'http://' or 'https://' protocol|unsupported protocol"),
        (_answering(200, "<html>"), "its answer is no JSON"),
        (_answering(404, ""), "HTTP status 404"),
        (_answering(503, ""), "HTTP status 503"),
        (_silent(), "timed out"),
    ],
)
def test_configured_server_that_is_none_is_one_line_that_names_the_variable_and_the_way_out(
    configured: AbstractContextManager[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setattr(server, "_ANSWER_SECONDS", 1.0)
    with configured as url, temporary_settings({PREFECT_API_URL: url}):
        started = time.monotonic()
        with pytest.raises(InfrastructureError, match=rf"^PREFECT_API_URL: .*{url} \(.*({reason}).*unset") as caught:
            server.ensure_server(tmp_path)
        assert time.monotonic() - started < 10
    assert "\n" not in str(caught.value)


def test_password_in_the_configured_address_is_not_told(tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with (
        temporary_settings({PREFECT_API_URL: "http://me:secret@127.0.0.1:9/api"}),
        pytest.raises(InfrastructureError, match=r"http://127\.0\.0\.1:9/api") as caught,
    ):
        server.ensure_server(tmp_path)
    assert "secret" not in str(caught.value)


def test_temporary_server_that_does_not_start_is_told_with_its_log_and_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    program = tmp_path / "program.py"
    program.write_text("raise SystemExit(3)")
    monkeypatch.setattr(server, "_PROGRAM", program)
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(InfrastructureError, match=rf"exit status 3, see {tmp_path}/logs/.*set PREFECT_API_URL"),
    ):
        server.ensure_server(tmp_path / "logs")


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    environment["PREFECT_HOME"] = str(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        process.kill()


@pytest.mark.timeout(300)
def test_temporary_server_hears_no_signal_of_the_run_and_ends_with_it_even_if_that_is_killed(
    owner: subprocess.Popen[str],
) -> None:
    assert owner.stdout is not None
    url, pid, _ = json.loads(owner.stdout.readline())
    running = psutil.Process(pid)
    assert os.getsid(pid) != os.getsid(owner.pid)  # so that what is sent to the run's group does not come here
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        running.send_signal(number)
    assert httpx.get(f"{url}/health", timeout=60).json() is True
    owner.kill()
    running.wait(30)


@pytest.mark.timeout(300)
def test_tasks_that_come_all_at_once_find_the_database_unlocked_and_are_all_recorded(
    owner: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert owner.stdout is not None
    _, _, log = json.loads(owner.stdout.readline())
    owner.communicate("load\n")
    assert owner.returncode == 0
    assert "locked" not in Path(log).read_text()
    with sqlite3.connect(tmp_path / "prefect.db") as database:
        states = database.execute("SELECT state_type, count(*) FROM task_run GROUP BY state_type").fetchall()
    assert states == [("COMPLETED", 80)]


async def _count_up(config: object, times: int) -> list[BaseException | None]:
    """Transactions at the same time, each of which reads a number and then writes the next; returns how each ended."""
    from sqlalchemy import text

    engine = await config.engine()  # type: ignore[attr-defined]
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE counter (n INTEGER)"))
        await connection.execute(text("INSERT INTO counter VALUES (0)"))

    async def count() -> None:
        session = await config.session(engine)  # type: ignore[attr-defined]
        async with session, config.begin_transaction(session):  # type: ignore[attr-defined]
            (n,) = (await session.execute(text("SELECT n FROM counter"))).one()
            await asyncio.sleep(0)
            await session.execute(text("UPDATE counter SET n = :n"), {"n": n + 1})

    ended = await asyncio.gather(*(count() for _ in range(times)), return_exceptions=True)
    await engine.dispose()
    return list(ended)


def test_transactions_that_read_and_then_write_wait_for_each_other(tmp_path: Path) -> None:
    from prefect.server.database.configurations import AioSqliteConfiguration

    from flows.launch.server_process import OneConnection

    url = f"sqlite+aiosqlite:///{tmp_path}"
    prefects = asyncio.run(_count_up(AioSqliteConfiguration(f"{url}/prefects.db"), 20))
    assert any("database is locked" in str(error) for error in prefects)  # else the class can go
    assert asyncio.run(_count_up(OneConnection(f"{url}/ours.db"), 20)) == [None] * 20
    with sqlite3.connect(tmp_path / "ours.db") as database:
        assert database.execute("SELECT n FROM counter").fetchall() == [(20,)]
