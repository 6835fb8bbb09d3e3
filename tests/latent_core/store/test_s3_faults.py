"""What an S3 endpoint can do wrong: each fault is one clear error within a bounded time, and the work resumes after."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from bench.store_memory import beyond_start
from latent_core.store import ArtifactRef, ArtifactStore, begin
from tests.support.s3_faults import FAULTS, WAITS, Fault, observe
from tests.support.s3_servers import Server


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "_"))
def test_fault_of_the_endpoint_is_one_clear_error_in_bounded_time_and_the_work_resumes(
    fault: Fault, request: pytest.FixtureRequest
) -> None:
    timeout = 2.0 if fault.behaviour in WAITS else 20.0
    seen = observe(fault, request.getfixturevalue(fault.server), timeout)
    assert isinstance(seen.error, fault.kind), seen.error
    message = str(seen.error)
    print(f"{seen.seconds:.1f} s: {type(seen.error).__name__}: {message}")
    assert message.startswith("store: ") and fault.message in message and "\n" not in message
    assert str(pickle.loads(pickle.dumps(seen.error))) == message  # it survives the way out of a worker process
    assert seen.seconds < timeout + 8
    assert not seen.existed and seen.resumed is not None


@pytest.mark.parametrize("fault", [item for item in FAULTS if item.name == "accepts, never reads"])
def test_silent_endpoint_is_named_with_the_variable_that_bounds_the_wait(fault: Fault, seaweed: Server) -> None:
    assert "no answer within the 1 s of LATENT_S3_TIMEOUT" in str(observe(fault, seaweed, 1.0).error)


@pytest.mark.parametrize("s3_root", ["seaweed"], indirect=True)
@pytest.mark.parametrize(
    "way", ["file", *(pytest.param(way, marks=pytest.mark.slow) for way in ("directory", "download"))]
)
def test_large_file_goes_through_memory_in_parts(s3_root: str, way: str, tmp_path: Path) -> None:
    assert beyond_start(way, 130, s3_root, tmp_path) < 110 << 20


@pytest.mark.parametrize("s3_root", ["moto"], indirect=True)
def test_damaged_copy_of_a_remote_directory_is_refused(
    s3_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENT_CACHE", str(tmp_path))
    store = ArtifactStore(s3_root)
    with begin(store, ArtifactRef("words", "a" * 64)) as out:
        with out.directory("model") as folder:
            (folder / "model.safetensors").write_bytes(b"0123456789")
        artifact = out.commit()
    store._fs.pipe_file(store._path(artifact.key("model/model.safetensors")), b"0123456788")
    with pytest.raises(ValueError, match=r"model\.safetensors: its bytes are not those that were written"):
        artifact.directory("model")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
