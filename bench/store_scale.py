"""How long `latent artifacts ls` and `gc` take on a store of many artifacts, local or S3.

    python -m bench.store_scale /tmp/scale [--artifacts 10000]
    python -m bench.store_scale s3://bucket/scale        # endpoint and keys from the environment
    python -m bench.store_scale s3://bucket/scale --delete

Makes the artifacts first (a small table each, in chains of ten parents) unless they are there, and leaves them there,
but with `--delete`, which also measures how long it takes to delete all but one chain. A first `ls` reads all manifests
of a remote store; what comes after it finds them in this machine's cache, here an empty one.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time

from bench.record import add_json_option, save
from latent_core.identity import fingerprint
from latent_core.store import ArtifactStore, Manifest, Reference
from latent_core.store.layout import MANIFEST
from latent_core.store.manifest import Content, StoredFile

STAGES = ("collect", "compress", "prepare", "train", "evaluate")
_CHAIN = 10


def fill(store: ArtifactStore, count: int) -> None:
    """Write manifests and files without the safety of a commit: what is measured is reading them."""
    table = b"PAR1" * 256
    parent: dict[str, Reference] = {}
    files: dict[str, bytes] = {}
    for index in range(count):
        stage, attempt = STAGES[index % len(STAGES)], f"attempt-{index:032x}"
        config = {"index": index, "ratios": [0.3, 0.5, 0.7], "prompt": "Please reason step by step. " * 20}
        address = fingerprint(stage, 1, config, {role: item.fingerprint for role, item in parent.items()})
        listed = (StoredFile("samples.parquet", len(table), hashlib.sha256(table).hexdigest(), 64),)
        content = Content(stage, 1, address, config, dict(parent), listed, rows=64, accounting={"kept": 64})
        manifest = Manifest(content, {"attempt": attempt, "seconds": 1.0, "started": 0.0})
        files[store._path(f"{manifest.ref.key}/{attempt}/samples.parquet")] = table
        files[store._path(f"{manifest.ref.key}/{MANIFEST}")] = manifest.to_bytes()
        parent = {} if index % _CHAIN == _CHAIN - 1 else {"before": Reference(stage, address)}
        if len(files) >= 1000 or index == count - 1:
            if store.local_path("folder") is not None:
                for folder in {path.rpartition("/")[0] for path in files}:
                    store._fs.makedirs(folder, exist_ok=True)
            store._fs.pipe(files)
            files = {}


def measure(command: list[str]) -> tuple[float, float, str]:
    """Seconds on the clock, CPU seconds, and the last line printed."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - started, cpu, output.strip().splitlines()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root")
    parser.add_argument("--artifacts", type=int, default=10_000)
    parser.add_argument("--delete", action="store_true")
    add_json_option(parser)
    options = parser.parse_args()
    store = ArtifactStore(options.root)
    if sum(1 for _ in store.list()) < options.artifacts:
        fill(store, options.artifacts)
    latent = [sys.executable, "-m", "flows.cli", "artifacts"]
    keep = next(store.list("evaluate"))
    kept = ["--keep", f"{keep.stage}/{keep.fingerprint}"]
    commands = {
        "ls, first time": ["ls"],
        "ls": ["ls"],
        "ls --stage train": ["ls", "--stage", "train"],
        "gc": ["gc"],
        "gc --keep": ["gc", *kept],
    }
    if options.delete:
        commands["gc --keep --delete"] = ["gc", *kept, "--delete"]
    with tempfile.TemporaryDirectory() as cache:
        os.environ["LATENT_CACHE"] = cache
        results = []
        for name, arguments in commands.items():
            clock, cpu, last = measure([*latent, *arguments, "--store", options.root])
            results.append({"command": name, "seconds": round(clock, 1), "cpu_seconds": round(cpu, 1)})
            print(f"{name:<18} {clock:6.1f} s, {cpu:5.1f} s of CPU here   {last[:80]}", flush=True)
    save(options.json, {"artifacts": options.artifacts, "commands": results})


if __name__ == "__main__":
    main()
