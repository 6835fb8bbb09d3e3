"""Serve an environment of this project over HTTP, by the contract of docs/environments_remote.md.

Run as `python -m tests.support.environment_server --environment static --port 8020`; tests use `serving`.
"""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

from latent_core.rl.environments import Environment, EnvironmentSpec, find_environment

PROTOCOL = 1


class Episodes:
    """Open episodes by name; an episode is forgotten when it ends."""

    def __init__(self, spec: EnvironmentSpec) -> None:
        self._spec = spec
        self._numbers = count()
        self._open: dict[str, tuple[Environment, int]] = {}
        self._lock = threading.Lock()

    def spec(self, body: dict[str, Any]) -> dict[str, Any]:
        spec = self._spec
        said: dict[str, Any] = {"name": spec.name, "version": spec.version, "instruction": spec.instruction}
        said |= {"max_turns": spec.max_turns, "lowest": spec.lowest, "content": spec.content}
        return {"protocol": PROTOCOL, **said}

    def reset(self, body: dict[str, Any]) -> dict[str, Any]:
        environment = self._spec.open()
        observation, info = environment.reset(body["seed"])
        with self._lock:
            episode = f"episode-{next(self._numbers)}"
            self._open[episode] = environment, 1
        return {"episode": episode, "observation": observation, "info": dict(info)}

    def step(self, body: dict[str, Any]) -> dict[str, Any]:
        episode = body["episode"]
        with self._lock:
            environment, turn = self._open.pop(episode)
        if body["turn"] != turn:
            raise ValueError(f"turn {body['turn']} of {episode} is not its next one, {turn}")
        observation, reward, terminated, truncated, info = environment.step(body["action"])
        if not (terminated or truncated):
            with self._lock:
                self._open[episode] = environment, turn + 1
        answer = {"observation": observation, "reward": reward, "terminated": terminated, "truncated": truncated}
        return {"episode": episode, "turn": turn, **answer, "info": dict(info)}


def _handler(episodes: Episodes) -> type[BaseHTTPRequestHandler]:
    routes = {"/spec": episodes.spec, "/reset": episodes.reset, "/step": episodes.step}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: dict[str, Any]) -> None:
            try:
                status, answer = 200, routes[self.path](body)
            except (LookupError, ValueError, RuntimeError) as error:
                status, answer = 400, {"error": f"{type(error).__name__}: {error}"}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


@contextmanager
def serving(spec: EnvironmentSpec) -> Iterator[str]:
    """The address of a server of this environment, in a thread, on a free port."""
    with serving_with(_handler(Episodes(spec))) as url:
        yield url


@contextmanager
def serving_with(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve an environment over HTTP on 127.0.0.1.")
    parser.add_argument("--environment", default="static")
    parser.add_argument("--port", type=int, default=8020)
    options = parser.parse_args()
    spec = find_environment(options.environment)
    ThreadingHTTPServer(("127.0.0.1", options.port), _handler(Episodes(spec))).serve_forever()


if __name__ == "__main__":
    main()
