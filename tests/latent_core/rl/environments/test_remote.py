"""Environments over HTTP: the same as local ones; a server that fails in any way never gives a reward."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from latent_core.errors import InputError
from latent_core.rl.environments import EnvironmentFailed, find_environment
from latent_core.rl.environments.remote import RemoteEnvironment, RemoteLimits
from tests.support.environment_server import serving, serving_with

QUICK = RemoteLimits(call_seconds=60.0, answer_bytes=10_000)
GOOD: dict[str, Any] = {
    "episode": "e",
    "turn": 1,
    "observation": "o",
    "reward": 1,
    "terminated": True,
    "truncated": False,
}


@pytest.mark.parametrize(
    ("name", "actions"),
    [
        ("search_qa", ["search[market]", "noise \ud800", "answer[x]"]),
        ("static", ["1", "2", "3", "4"]),
        ("cube", ["R", "no turn", *["U"] * 9]),
    ],
)
def test_remote_environment_plays_as_the_local_one(name: str, actions: list[str]) -> None:
    local = find_environment(name)
    with serving(local) as url:
        spec = find_environment(f"remote:{url}/")
        assert (spec.instruction, spec.max_turns, spec.version) == (local.instruction, local.max_turns, local.version)
        assert spec.name == f"remote:{url}" and spec.content.startswith(f"{name}/{local.content}")
        assert spec.lowest == local.lowest
        near, far = local.open(), spec.open()
        for seed in (3, 4):
            assert far.reset(seed)[0] == near.reset(seed)[0]
            for action in actions:
                expected, found = near.step(action), far.step(action)
                assert found[:4] == expected[:4]
                assert found[4]["valid"] == expected[4]["valid"]
                hash(found[4]["state"])
        with pytest.raises(RuntimeError, match="reset"):
            far.step("after the end")


def test_call_from_a_running_event_loop_is_answered() -> None:
    async def played() -> str:
        return RemoteEnvironment(url, 4, 0.0).reset(0)[0]

    with serving(find_environment("static")) as url:
        assert asyncio.run(played())


def test_server_that_is_not_there_fails_at_once_and_names_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(EnvironmentFailed, match=rf"remote:http://127.0.0.1:{port} failed at spec .*; start it"):
        find_environment(f"remote:http://127.0.0.1:{port}")


@pytest.fixture
def dripping() -> Iterator[str]:
    """A server that sends a byte of its head every 50 ms, for ever."""
    done = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not done.wait(0.05):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    def accept() -> None:
        while not done.is_set():
            try:
                threading.Thread(target=drip, args=(server.accept()[0],), daemon=True).start()
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        done.set()


def test_server_that_sends_a_byte_now_and_then_is_left_at_the_limit_of_the_whole_call(dripping: str) -> None:
    begun = time.monotonic()
    with pytest.raises(EnvironmentFailed, match=r"did not answer reset within 0\.3 s; start it, or make it faster"):
        RemoteEnvironment(dripping, 4, 0.0, RemoteLimits(call_seconds=0.3)).reset(0)
    assert time.monotonic() - begun < 30  # far from the minute that a read may take by default


def _serving(answer: Callable[[str, dict[str, Any]], bytes], status: int = 200) -> Any:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = answer(self.path, body)
            self.send_response(200 if self.path == "/reset" else status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return serving_with(Handler)


def _step_against(
    content: bytes | dict[str, Any], status: int = 200, max_turns: int = 3, lowest: float = 0.0
) -> tuple[Any, ...]:
    def answer(path: str, body: dict[str, Any]) -> bytes:
        if path == "/reset":
            return json.dumps({"episode": "e", "observation": "o"}).encode()
        return content if isinstance(content, bytes) else json.dumps({**GOOD, **content}).encode()

    with _serving(answer, status) as url:
        environment = RemoteEnvironment(url, max_turns, lowest, QUICK)
        environment.reset(0)
        try:
            return environment.step("a")
        except EnvironmentFailed:
            with pytest.raises(RuntimeError, match="reset"):  # the episode is over
                environment.step("a")
            raise


def test_answer_that_keeps_the_contract_is_taken_and_unknown_fields_are_left_out() -> None:
    said = {"reward": 2, "later": [1], "info": {"legal": ["a"], "state": {"b": [1]}, "valid": True, "own": 7}}
    observation, reward, terminated, truncated, info = _step_against(said)
    assert (observation, reward, terminated, truncated) == ("o", 2.0, True, False)
    assert info == {"legal": ("a",), "state": '{"b": [1]}', "valid": True, "own": 7}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"not json", "is no JSON"),
        (b"[" * 5000, "is no JSON"),
        (b"\xff\xfe\x00", "is no JSON"),
        (b"[]", "the whole of its answer to step"),
        (json.dumps({**GOOD, "reward": float("nan")}).encode(), "NaN is no number"),
        (json.dumps(GOOD).replace('"reward": 1', '"reward": 1e999').encode(), "reward of its answer to step"),
        ({"reward": "1"}, "reward of its answer to step"),
        ({"reward": True}, "reward of its answer to step"),
        ({"reward": None}, "reward of its answer to step"),
        ({"terminated": 1}, "terminated of its answer to step"),
        ({"observation": None}, "observation of its answer to step"),
        ({"turn": 2}, "it answered turn 2 of 'e', not turn 1"),
        ({"episode": "other"}, "it answered turn 1 of 'other'"),
        ({"terminated": False, "truncated": True}, "turn 1 of max_turns 3 was truncated"),
        ({"info": {"valid": "yes"}}, "info.valid is 'yes', not true or false"),
        ({"info": {"legal": "abc"}}, "info.legal is no list of texts"),
        ({"observation": "x" * 20_000}, "is longer than 10000 bytes"),
        ({"observation": "a \ud800 b"}, "its answer to step holds half a surrogate pair"),
        ({"info": {"legal": ["\ud800"]}}, "its answer to step holds half a surrogate pair"),
    ],
)
def test_answer_that_breaks_the_contract_is_no_reward(content: bytes | dict[str, Any], words: str) -> None:
    with pytest.raises(EnvironmentFailed, match=words) as failed:
        _step_against(content)
    assert "\n" not in str(failed.value)


def test_last_turn_that_ends_nothing_is_no_reward() -> None:
    with pytest.raises(EnvironmentFailed, match="turn 1 of max_turns 1 ended nothing"):
        _step_against({"terminated": False}, max_turns=1)


def test_return_is_held_to_the_declared_lowest_over_all_turns_and_up_to_rounding() -> None:
    losing = {"reward": -0.1, "terminated": False}
    assert _step_against(losing, lowest=-0.1)[1] == -0.1

    def answer(path: str, body: dict[str, Any]) -> bytes:
        said = {"episode": "e", "observation": "o"} if path == "/reset" else GOOD | losing | {"turn": body["turn"]}
        return json.dumps(said).encode()

    with _serving(answer) as url:
        environment = RemoteEnvironment(url, 9, -0.3, QUICK)
        for _ in range(2):  # each episode is counted for itself
            environment.reset(0)
            assert [environment.step("a")[1] for _ in range(3)] == [-0.1] * 3  # their sum is -0.30000000000000004
            # Leaving these episodes out, as those of an outage are, would flatter the rest.
            with pytest.raises(
                InputError, match=r"fell to -0\.4, below the lowest of its spec, -0\.3; let .* `lowest`"
            ):
                environment.step("a")


@pytest.mark.parametrize("status", [302, 404, 429, 500, 503])
def test_answer_with_another_status_is_no_reward_even_with_a_good_body(status: int) -> None:
    with pytest.raises(EnvironmentFailed, match=f"answered step with HTTP {status}: .*; see its log"):
        _step_against({}, status)


def test_reset_that_fails_leaves_no_episode() -> None:
    with _serving(lambda path, body: b"{}") as url:
        environment = RemoteEnvironment(url, 3, 0.0, QUICK)
        with pytest.raises(EnvironmentFailed, match="episode of its answer to reset"):
            environment.reset(0)
        with pytest.raises(RuntimeError, match="reset"):
            environment.step("a")
        with pytest.raises(InputError, match="seed: must be at least 0"):
            environment.reset(-1)


def _saying(**said: Any) -> Any:
    """A server of this spec, which answers nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            spec = {"protocol": 1, "name": "n", "version": 1, "instruction": "i", "max_turns": 1}
            content = json.dumps(spec | said).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return serving_with(Handler)


def test_server_of_another_protocol_is_refused() -> None:
    with _saying(protocol=2) as url, pytest.raises(InputError, match="speaks protocol 2; use a server of protocol 1"):
        find_environment(f"remote:{url}")


def test_lowest_return_is_zero_where_a_server_names_none_and_is_part_of_its_identity_where_it_does() -> None:
    specs = []
    for said in ({}, {"lowest": 0}, {"lowest": -2.5}):
        with _saying(**said) as url:
            specs.append(find_environment(f"remote:{url}"))
    assert [spec.lowest for spec in specs] == [0.0, 0.0, -2.5]
    assert [spec.content for spec in specs] == ["n/", "n/", "n//lowest -2.5"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"lowest": "0"}, "lowest of its answer to spec"),
        ({"instruction": "Go \ud800."}, "its answer to spec holds half a surrogate pair"),
    ],
)
def test_spec_that_breaks_the_contract_is_refused(said: dict[str, Any], words: str) -> None:
    with _saying(**said) as url, pytest.raises(EnvironmentFailed, match=words):
        find_environment(f"remote:{url}")


@pytest.mark.parametrize("address", ["", "localhost", "ftp://host", "http://", "http://host:port", "http://host/?a=1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"is no address .*; write remote:URL") as refused:
        find_environment(f"remote:{address}")
    assert "\n" not in str(refused.value)
