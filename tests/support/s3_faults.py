"""What an S3 endpoint can do wrong: for each fault the time to the error, its message, and whether the work resumes.

    python -m tests.support.s3_faults [--timeout 8]

Starts its own servers (SeaweedFS, and moto where a bucket must be missing) on 127.0.0.1 with a misbehaving relay in
front of them. The work is an artifact of two files, one of them large enough to be uploaded in parts.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from latent_core.errors import InfrastructureError, InputError, LatentError
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, begin
from latent_core.store.remote import TIMEOUT
from tests.support.s3_servers import (
    Behaviour,
    Relay,
    Server,
    environment,
    forget_connections,
    start_moto,
    start_seaweed,
)

LARGE = 20 << 20  # bytes: two parts of an upload
MIDDLE = 8 << 20  # where in it the fault begins
ADDRESS = "a" * 64


@dataclass(frozen=True)
class Fault:
    """A fault by its name in the table: wrong environment variables, or a relay that turns after so many bytes."""

    name: str
    kind: type[LatentError]
    message: str  # a part of the error's
    variables: Mapping[str, str | None] | None = None
    behaviour: Behaviour = Behaviour.PASS
    after: int = 0
    bucket: str = "bucket"
    server: str = "seaweed"


_NO_KEYS = {
    "AWS_ACCESS_KEY_ID": None,
    "AWS_SECRET_ACCESS_KEY": None,
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_LOST = "cannot be reached"
FAULTS = (
    Fault("wrong secret", InputError, "refuses these credentials", {"AWS_SECRET_ACCESS_KEY": "wrong"}),
    Fault("unknown key", InputError, "refuses these credentials", {"AWS_ACCESS_KEY_ID": "nobody"}),
    Fault("no credentials", InputError, "there are no credentials", _NO_KEYS),
    Fault("missing bucket", InputError, "'absent' of s3://absent/", bucket="absent", server="moto"),
    Fault("down from the start", InfrastructureError, _LOST, behaviour=Behaviour.REFUSE),
    Fault("goes down during an upload", InfrastructureError, _LOST, behaviour=Behaviour.REFUSE, after=MIDDLE),
    Fault("accepts, never reads", InfrastructureError, _LOST, behaviour=Behaviour.STALL),
    Fault("stops reading during an upload", InfrastructureError, _LOST, behaviour=Behaviour.STALL, after=MIDDLE),
    Fault("reads, never answers", InfrastructureError, _LOST, behaviour=Behaviour.SWALLOW),
    Fault("stops answering during an upload", InfrastructureError, _LOST, behaviour=Behaviour.SWALLOW, after=MIDDLE),
    Fault("resets during an upload", InfrastructureError, _LOST, behaviour=Behaviour.RESET, after=MIDDLE),
    Fault("answers 503 from the start", InfrastructureError, "answered 503", behaviour=Behaviour.UNAVAILABLE),
    Fault("answers 503 in an upload", InfrastructureError, "answered 503", None, Behaviour.UNAVAILABLE, MIDDLE),
)


WAITS = (Behaviour.STALL, Behaviour.SWALLOW)  # the faults that take the whole of LATENT_S3_TIMEOUT


@dataclass(frozen=True)
class Observed:
    """What came of a fault; `existed` says whether the artifact was there before the work was resumed."""

    seconds: float
    error: BaseException | None
    existed: bool
    resumed: Artifact | None


def work(store: ArtifactStore) -> Artifact:
    """What a stage does with its store: look, write a small and a large file, commit."""
    store.check_writable()
    found = store.get("words", ADDRESS)
    if found is not None:
        return found
    with begin(store, ArtifactRef("words", ADDRESS)) as out:
        with out.open("small") as handle:
            handle.write(b"1")
        with out.open("large") as handle:
            for _ in range(LARGE >> 20):
                handle.write(bytes(1 << 20))
        return out.commit()


def observe(fault: Fault, server: Server, timeout: float) -> Observed:
    """Let the fault happen to `work`, then take it away and work again."""
    root = f"s3://{fault.bucket}/{uuid.uuid4().hex}"
    with Relay(server.url) as relay, _variables(environment(relay.url, f"{timeout:g}")):
        make_bucket("bucket")
        error: BaseException | None = None
        with _variables(fault.variables or {}):
            relay.turn(fault.behaviour, fault.after)
            started = time.monotonic()
            try:
                work(ArtifactStore(root))
            except Exception as caught:  # anything but one clear error is what the table must show
                error = caught
            seconds = time.monotonic() - started
        relay.turn(Behaviour.PASS)
        os.environ[TIMEOUT] = "60"  # a busy machine is no fault
        make_bucket(fault.bucket)
        existed = ArtifactStore(root).get("words", ADDRESS) is not None
        resumed = work(ArtifactStore(root))
        return Observed(seconds, error, existed, resumed if resumed.store.verify(resumed.ref).ok else None)


def make_bucket(name: str) -> None:
    from s3fs import S3FileSystem

    forget_connections()
    S3FileSystem().makedirs(name, exist_ok=True)
    forget_connections()


@contextmanager
def _variables(values: Mapping[str, str | None]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    forget_connections()
    try:
        yield
    finally:
        _set(before)
        forget_connections()


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timeout", type=float, default=8.0, help="LATENT_S3_TIMEOUT in seconds")
    options = parser.parse_args()
    starts: dict[str, Callable[[Path], Server]] = {
        "seaweed": lambda folder: start_seaweed(folder / "seaweed"),
        "moto": lambda folder: start_moto(folder / "moto.log"),
    }
    print(f"LATENT_S3_TIMEOUT={options.timeout:g}\n\n| fault | seconds | error | resumed |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        servers = {name: start(Path(folder)) for name, start in starts.items()}
        try:
            for fault in FAULTS:
                seen = observe(fault, servers[fault.server], options.timeout)
                words = f"{type(seen.error).__name__}: {seen.error}".replace("|", "/")
                resumed = "no" if seen.existed or seen.resumed is None else "yes"
                print(f"| {fault.name} | {seen.seconds:.1f} | {words} | {resumed} |", flush=True)
        finally:
            for server in servers.values():
                server.stop()


if __name__ == "__main__":
    main()
