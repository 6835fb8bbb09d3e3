"""What must hold after any number of kills: the promises of the store, checked against an undisturbed run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from bench.chaos.victims import is_alive
from bench.chaos.watch import CommitWatch, Event
from latent_core.store import ArtifactStore, collect_garbage, find_garbage
from latent_core.store.layout import MANIFEST, RESULTS
from tasks.report import write_report
from tasks.tracking.journal import FOLDER as RUN_RECORDS


def contents(store: Path) -> dict[str, bytes]:
    """Every manifest's `content`, as bytes, by artifact; a report's without its files, which show measured speeds."""
    found = {}
    for path in store.glob(f"*/*/{MANIFEST}"):
        body = json.loads(path.read_bytes())["content"]
        if body["stage"] == write_report.name:
            body["files"] = [item["path"] for item in body["files"]]
        found[f"{path.parts[-3]}/{path.parts[-2]}"] = json.dumps(body, sort_keys=True, ensure_ascii=False).encode()
    return found


def differences(undisturbed: Path, disturbed: Path) -> Iterator[str]:
    """Artifacts that are missing, too many, or not byte for byte what an undisturbed run made."""
    expected, found = contents(undisturbed), contents(disturbed)
    for key in sorted(expected.keys() | found.keys()):
        if key not in found:
            yield f"{key}: is missing"
        elif key not in expected:
            yield f"{key}: should not be there"
        elif expected[key] != found[key]:
            yield f"{key}: its content differs from the undisturbed run's"


def computed_again(events: list[Event], commits: CommitWatch) -> Iterator[str]:
    """Artifacts committed twice, or started once more after they had been committed."""
    for key, attempts in sorted(commits.attempts.items()):
        if len(attempts) != 1:
            yield f"{key}: was committed {len(attempts)} times"
    for event in events:
        committed = commits.committed_at.get(event.key)
        if event.is_start and committed is not None and event.time > committed:
            yield f"{event.key}: was started {event.time - committed:.3f} s after its commit"


def survivors(events: list[Event]) -> Iterator[str]:
    """Workers that still run although their run is over."""
    for pid in sorted({event.pid for event in events}):
        if is_alive(pid):
            yield f"worker {pid}: is still alive"


def damaged(store: Path) -> Iterator[str]:
    """Artifacts whose bytes are not those that their manifest seals."""
    opened = ArtifactStore(store)
    for ref in opened.list():
        for problem in opened.verify(ref).problems:
            yield f"{ref}: {problem}"


def unowned(store: Path) -> list[Path]:
    """Files and folders that belong to no committed artifact, however they came to be, but for Prefect's results and
    the records of runs."""
    owned = set()
    for manifest in store.glob(f"*/*/{MANIFEST}"):
        body = json.loads(manifest.read_bytes())
        attempt = manifest.parent / body["record"]["attempt"]
        files = [attempt / item["path"] for item in body["content"]["files"]]
        for path in [manifest, attempt, *files]:
            owned |= {path, *path.parents}
    for kept in (store / RESULTS, store / RUN_RECORDS):
        owned |= {kept, *kept.rglob("*")}
    return sorted(path for path in store.rglob("*") if path not in owned)


def left_after_gc(store: Path) -> Iterator[str]:
    """What garbage collection should have removed and did not; afterwards the store holds committed files alone."""
    opened = ArtifactStore(store)
    collect_garbage(opened, find_garbage(opened, grace=0))
    for path in unowned(store):
        yield f"{path.relative_to(store)}: still there after gc"
