"""Memory of writing and reading one large file of a remote store, beyond what the process had before.

    python -m bench.store_memory s3://bucket/prefix [--megabytes 96 500]

Three ways: a file written in one piece, a directory (as a model's), and that directory's download. Each is measured in
a process of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from bench.memory import PeakMemory
from bench.record import add_json_option, save
from latent_core.store import ArtifactRef, ArtifactStore, begin

WAYS = ("file", "directory", "download")


def measure(way: str, megabytes: int, root: str) -> int:
    """Bytes beyond the start that `way` takes in this process."""
    store = ArtifactStore(root)
    store.check_writable()
    memory = PeakMemory()
    with begin(store, ArtifactRef("large", uuid.uuid4().hex * 2)) as out:
        if way == "file":
            content = os.urandom(megabytes << 20)
            with memory, out.open("large") as handle:
                handle.write(content)
        else:
            with memory, out.directory("large") as folder, (folder / "file").open("wb") as file:
                for _ in range(megabytes):
                    file.write(os.urandom(1 << 20))
        artifact = out.commit()
    if way == "download":
        memory = PeakMemory()
        with memory:
            artifact.directory("large")
    return memory.beyond_start


def beyond_start(way: str, megabytes: int, root: str, cache: Path) -> int:
    """`measure` in a fresh process, so that nothing of an earlier measurement is counted or reused."""
    command = [sys.executable, "-m", "bench.store_memory", root, "--way", way, "--megabytes", str(megabytes)]
    environment = os.environ | {"LATENT_CACHE": str(cache)}
    return int(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root")
    parser.add_argument("--megabytes", type=int, nargs="+", default=[96, 500])
    parser.add_argument("--way", choices=WAYS, help="measure this one in this process, and print bytes only")
    add_json_option(parser)
    options = parser.parse_args()
    if options.way is not None:
        print(measure(options.way, options.megabytes[0], options.root))
        return
    results = []
    for way in WAYS:
        for megabytes in options.megabytes:
            with tempfile.TemporaryDirectory() as cache:
                extra = beyond_start(way, megabytes, options.root, Path(cache))
            results.append({"way": way, "mib": megabytes, "mib_beyond_start": extra >> 20})
            print(f"{way:<10} {megabytes:>5} MiB: {extra >> 20:>4} MiB beyond the start", flush=True)
    save(options.json, results)


if __name__ == "__main__":
    main()
