"""Environments behind an HTTP server: `remote:URL`, JSON over three routes (docs/environments_remote.md).

A server that is down, slow, too talkative or breaks the contract raises EnvironmentFailed. Nothing that it says is ever
taken for a reward that it did not state.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from latent_core.errors import InputError
from latent_core.rl.environments.protocol import EnvironmentFailed, EnvironmentSpec, Info, falls_below
from latent_core.rl.environments.turn_count import check_open, check_seed

PROTOCOL = 1  # raised when a message of the contract changes its form or its meaning
_Answer = TypeVar("_Answer", bound="_Message")


@dataclass(frozen=True)
class RemoteLimits:
    """What is waited for and read of a server. The time is that of a whole call, from connecting to the last byte."""

    call_seconds: float = 60.0
    answer_bytes: int = 2**20


class _Message(BaseModel):
    """Unknown fields are ignored, so that a later server may say more; types are not converted."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class SpecMessage(_Message):
    """The answer to `GET /spec`."""

    protocol: int
    name: str = Field(min_length=1, max_length=200)
    version: int = Field(ge=0)
    instruction: str = Field(min_length=1)
    max_turns: int = Field(ge=1)
    lowest: float = 0.0
    content: str = ""


class ResetMessage(_Message):
    """The answer to `POST /reset`."""

    episode: str = Field(min_length=1, max_length=200)
    observation: str
    info: dict[str, Any] = {}


class StepMessage(_Message):
    """The answer to `POST /step`."""

    episode: str
    turn: int
    observation: str
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any] = {}


class RemoteEnvironment:
    """One episode at a time on a server; each `reset` begins a new one there."""

    def __init__(self, url: str, max_turns: int, lowest: float, limits: RemoteLimits | None = None) -> None:
        self._url, self._max_turns, self._lowest, self._limits = url, max_turns, lowest, limits or RemoteLimits()
        self._episode, self._turn, self._return = "", 0, 0.0

    def reset(self, seed: int) -> tuple[str, Info]:
        check_seed(seed)
        self._episode, self._turn, self._return = "", 0, 0.0
        message = _call("POST", self._url, "reset", {"protocol": PROTOCOL, "seed": seed}, ResetMessage, self._limits)
        info = _info(message.info, self._url)
        self._episode = message.episode
        return message.observation, info

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        check_open(bool(self._episode))
        episode, self._episode = self._episode, ""  # after a failure there is no next step
        turn = self._turn = self._turn + 1
        body = {"protocol": PROTOCOL, "episode": episode, "turn": turn, "action": _encodable(action)}
        message = _call("POST", self._url, "step", body, StepMessage, self._limits)
        if (message.episode, message.turn) != (episode, turn):
            raise _broken(self._url, f"it answered turn {message.turn} of {message.episode!r:.80}, not turn {turn}")
        last, ended = turn == self._max_turns, message.terminated or message.truncated
        if last and not ended:
            raise _broken(self._url, f"turn {turn} of max_turns {turn} ended nothing")
        if message.truncated and not last:
            raise _broken(self._url, f"turn {turn} of max_turns {self._max_turns} was truncated")
        self._return += message.reward
        if falls_below(self._return, self._lowest):
            # No outage: to leave out the episodes that pay least would make the others look like all of them.
            raise InputError(
                f"environment: remote:{self._url}: the return fell to {self._return:.10g}, below the lowest of its "
                f"spec, {self._lowest:.10g}; let the server's /spec give `lowest`, no more than any return"
            )
        info = _info(message.info, self._url)
        self._episode = "" if ended else episode
        return message.observation, message.reward, message.terminated, message.truncated, info


def remote(argument: str) -> EnvironmentSpec:
    """The environment `remote:URL`; asks the server at once what it is.

    Raises InputError for what is no http address or a server of another protocol, EnvironmentFailed for a server that
    does not answer.
    """
    url = argument.rstrip("/")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise _no_address(argument, str(error)) from error
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query or parsed.fragment:
        raise _no_address(argument, "it needs http:// or https://, a host, and no query")
    limits = RemoteLimits()
    message = _call("GET", url, "spec", None, SpecMessage, limits)
    if message.protocol != PROTOCOL:
        raise InputError(
            f"environment: remote:{url} speaks protocol {message.protocol}; use a server of protocol {PROTOCOL}"
        )
    declared = f"/lowest {message.lowest!r}" if message.lowest else ""  # what a broken format is worth depends on it
    return EnvironmentSpec(
        name=f"remote:{url}",
        version=message.version,
        instruction=message.instruction,
        max_turns=message.max_turns,
        open=lambda: RemoteEnvironment(url, message.max_turns, message.lowest, limits),
        lowest=message.lowest,
        content=f"{message.name}/{message.content}{declared}",
    )


def _no_address(argument: str, why: str) -> InputError:
    return InputError(
        f"environment: remote:{argument} is no address ({why}); write remote:URL, e.g. remote:http://127.0.0.1:8020"
    )


def _broken(url: str, why: str) -> EnvironmentFailed:
    return EnvironmentFailed(f"environment: remote:{url} broke the contract: {why}; mend the server")


def _encodable(action: str) -> str:
    """The action as text that JSON in UTF-8 can hold: half a surrogate pair becomes a question mark."""
    return action.encode(errors="replace").decode()


def _info(said: Mapping[str, Any], url: str) -> Info:
    """The server's info with the keys of the protocol as the protocol has them."""
    info = dict(said)
    for key in ("valid", "success"):
        if key in info and not isinstance(info[key], bool):
            raise _broken(url, f"info.{key} is {info[key]!r:.80}, not true or false")
    if "legal" in info:
        if not isinstance(info["legal"], list) or not all(isinstance(action, str) for action in info["legal"]):
            raise _broken(url, "info.legal is no list of texts")
        info["legal"] = tuple(info["legal"])
    if "state" in info:  # hashable, and equal for equal values
        info["state"] = json.dumps(info["state"], sort_keys=True)
    return info


def _call(
    method: str,
    url: str,
    route: str,
    body: Mapping[str, Any] | None,
    kind: type[_Answer],
    limits: RemoteLimits,
) -> _Answer:
    # In a thread of its own: the caller's may run an event loop already. Only asyncio can bound a whole call; httpx
    # bounds each read, so that a server could send a byte a minute for ever.
    started = time.monotonic()
    with ThreadPoolExecutor(1, thread_name_prefix="remote-environment") as pool:
        try:
            status, content = pool.submit(asyncio.run, _exchange(method, f"{url}/{route}", body, limits)).result()
        except TimeoutError as error:
            raise EnvironmentFailed(
                f"environment: remote:{url} did not answer {route} within {limits.call_seconds:g} s; "
                "start it, or make it faster"
            ) from error
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            raise EnvironmentFailed(
                f"environment: remote:{url} failed at {route} after {time.monotonic() - started:.1f} s "
                f"({type(error).__name__}: {error}); start it, or mend the address"
            ) from error
    if len(content) > limits.answer_bytes:
        raise _broken(url, f"its answer to {route} is longer than {limits.answer_bytes} bytes")
    if status != httpx.codes.OK:
        said = " ".join(content[:200].decode(errors="replace").split())
        raise EnvironmentFailed(f"environment: remote:{url} answered {route} with HTTP {status}: {said}; see its log")
    try:
        said = json.loads(content, parse_constant=_refused)
        json.dumps(said, ensure_ascii=False).encode()  # escapes may spell what no UTF-8, and so no tokenizer, can hold
        return kind.model_validate(said)
    except UnicodeEncodeError as error:
        raise _broken(url, f"its answer to {route} holds half a surrogate pair") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise _broken(url, f"{where} of its answer to {route}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise _broken(url, f"its answer to {route} is no JSON ({error})") from error


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no number of JSON")


async def _exchange(
    method: str, address: str, body: Mapping[str, Any] | None, limits: RemoteLimits
) -> tuple[int, bytes]:
    """Status and content of one call, the content cut one byte or more after the limit."""
    # Compressed answers are not asked for: they would be larger than what is counted.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    async with (
        asyncio.timeout(limits.call_seconds),
        httpx.AsyncClient(timeout=None) as client,
        client.stream(method, address, json=body, headers=headers) as response,
    ):
        content = b""
        async for part in response.aiter_raw():
            content += part
            if len(content) > limits.answer_bytes:
                break
        return response.status_code, content
