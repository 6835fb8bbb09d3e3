"""What an S3 endpoint can do wrong: each fault is one clear error within a bounded time, and the work resumes after."""

from __future__ import annotations

import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from latent_core.errors import InfrastructureError, InputError, LatentError
from latent_core.store import Artifact, ArtifactStore

ADDRESS = "a" * 64
Patch = pytest.MonkeyPatch


def _write(store: ArtifactStore, fault: Callable[[], object] = lambda: None) -> Artifact:
    with store.begin("words", ADDRESS) as out:
        with out.open("first") as handle:
            handle.write(b"1")
        fault()
        with out.open("second") as handle:
            handle.write(b"2")
        return out.commit()


def _failure(store: ArtifactStore, work: Callable[[], object], limit: float) -> LatentError:
    """The one error of `work`, which names the field and the store and survives the way out of a worker process."""
    started = time.monotonic()
    with pytest.raises(LatentError) as raised:
        work()
    seconds = time.monotonic() - started
    print(f"{seconds:.1f} s: {type(raised.value).__name__}: {raised.value}")
    assert seconds < limit
    assert str(raised.value).startswith("store: ") and store.root.split("/")[2] in str(raised.value)
    assert "\n" not in str(raised.value)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    return raised.value


def _without_credentials(patch: Patch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        patch.setenv(name, "/nonexistent")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")


INPUT_FAULTS: dict[str, tuple[Callable[[Patch], object], str]] = {
    "wrong secret": (lambda patch: patch.setenv("AWS_SECRET_ACCESS_KEY", "wrong"), "refuses these credentials"),
    "unknown key": (lambda patch: patch.setenv("AWS_ACCESS_KEY_ID", "nobody"), "refuses these credentials"),
    "no credentials": (_without_credentials, "there are no credentials"),
}


def _fresh(root: str) -> ArtifactStore:
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    return ArtifactStore(root)


@pytest.mark.parametrize("s3_root", ["seaweed"], indirect=True)
@pytest.mark.parametrize("fault", INPUT_FAULTS)
def test_wrong_credentials_are_bad_input_at_once_and_right_ones_resume(
    s3_root: str, fault: str, monkeypatch: Patch
) -> None:
    break_it, message = INPUT_FAULTS[fault]
    with monkeypatch.context() as patch:
        break_it(patch)
        store = _fresh(s3_root)
        for work in (store.check_writable, lambda: store.get("words", ADDRESS), lambda: list(store.list())):
            error = _failure(store, work, limit=20)
            assert isinstance(error, InputError) and message in str(error)
    assert _write(_fresh(s3_root)).read_bytes("second") == b"2"


@contextmanager
def _proxy(target: str) -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    """A TCP relay to an S3 server; the functions make it a dead port, and bring it back."""
    host, port = target.removeprefix("http://").split(":")
    address = ("127.0.0.1", _free_port())
    state: dict[str, socket.socket | list[socket.socket]] = {}

    def relay(source: socket.socket, sink: socket.socket) -> None:
        try:
            while chunk := source.recv(1 << 16):
                sink.sendall(chunk)
        except OSError:
            pass
        finally:
            sink.close()

    def serve(listener: socket.socket, ends: list[socket.socket]) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection((host, int(port)))
            ends += [near, far]
            threading.Thread(target=relay, args=(near, far), daemon=True).start()
            threading.Thread(target=relay, args=(far, near), daemon=True).start()

    def up() -> None:
        listener = socket.create_server(address)
        ends: list[socket.socket] = []
        state.update(listener=listener, ends=ends)
        threading.Thread(target=serve, args=(listener, ends), daemon=True).start()

    def down() -> None:
        listener, ends = state["listener"], state["ends"]
        assert isinstance(listener, socket.socket) and isinstance(ends, list)
        for end in [listener, *ends]:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    up()
    yield f"http://{address[0]}:{address[1]}", down, up
    down()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("s3_root", ["seaweed"], indirect=True)
def test_endpoint_that_goes_down_in_the_middle_fails_in_seconds_and_the_next_run_resumes(
    s3_root: str, seaweed: object, monkeypatch: Patch
) -> None:
    with _proxy(seaweed.url) as (url, down, up):  # type: ignore[attr-defined]
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        store = _fresh(s3_root)
        store.check_writable()
        error = _failure(store, lambda: _write(store, fault=down), limit=30)
        assert isinstance(error, InfrastructureError) and "cannot be reached" in str(error)
        up()
        assert store.get("words", ADDRESS) is None
        assert store.verify(_write(store).ref).ok


def test_endpoint_that_was_never_up_is_named_in_seconds(monkeypatch: Patch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{_free_port()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    store = _fresh("s3://bucket/prefix")
    error = _failure(store, store.check_writable, limit=20)
    assert isinstance(error, InfrastructureError) and "AWS_ENDPOINT_URL" in str(error)
