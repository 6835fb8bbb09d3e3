"""One worker against two: how much sooner a collection is done, what is lost between shards, how often models load.

    python -m bench.workers [--questions 192] [--shard-questions 24] [--pairs 3]

The pool is the one a run uses, with one thread a worker. Wall time is what more workers are for, so this wants an idle
machine with at least two cores. From the manifests: the idle time of a worker between the end of a shard and the start
of its next, and the number of shards that had to load a model (one a worker is the least).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.record import add_json_option, save
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.runtime import RuntimeConfig
from latent_core.config.sampling import SamplingConfig
from latent_core.store import Artifact, ArtifactStore
from tasks.collect import CollectInputs, CollectShard, collect_shard
from tasks.inputs import ModelInput, ProblemsInput
from tasks.workers.processes import WorkerPool

BENCHMARK = BenchmarkConfig()
LOADED_SECONDS = 0.01  # a warm engine is handed over in microseconds


def collect_with(workers: int, options: argparse.Namespace, root: Path) -> tuple[float, list[Artifact]]:
    """Wall seconds and the shards of one collection by a fresh pool."""
    store = ArtifactStore(root / "store")
    runtime = RuntimeConfig(workers=workers, threads_per_worker=1, work_dir=str(root / "work"))
    sampling = SamplingConfig(temperature=0.7, samples=2, max_new_tokens=192)
    inputs = CollectInputs(ModelInput.find(options.model), ProblemsInput.find(BENCHMARK, "train"))
    calls = [
        collect_shard.call(CollectShard(sampling=sampling, start=start, stop=start + options.shard_questions), inputs)
        for start in range(0, options.questions, options.shard_questions)
    ]
    pool = WorkerPool(runtime, store.root)
    started = time.monotonic()
    with ThreadPoolExecutor(len(calls)) as threads:
        refs = list(threads.map(pool.compute, calls))
    seconds = time.monotonic() - started
    pool.close()
    return seconds, [store.require(ref) for ref in refs]


def lost_between_shards(shards: list[Artifact]) -> tuple[float, float]:
    """Seconds between the end of a shard and the start of the same worker's next: their sum, and that of the shards."""
    by_process: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for shard in shards:
        record: Any = shard.manifest.record
        by_process[record["process"]].append((record["started"], record["started"] + record["seconds"]))
    lost = 0.0
    for spans in by_process.values():
        spans.sort()
        lost += sum(max(0.0, after[0] - before[1]) for before, after in pairwise(spans))
    return lost, sum(float(shard.manifest.record["seconds"]) for shard in shards)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="latent-mini")
    parser.add_argument("--questions", type=int, default=192)
    parser.add_argument("--shard-questions", type=int, default=24)
    parser.add_argument("--pairs", type=int, default=3)
    add_json_option(parser)
    options = parser.parse_args()
    speedups, results = [], []
    for number in range(options.pairs):
        seconds: dict[int, float] = {}
        for workers in (1, 2) if number % 2 == 0 else (2, 1):
            with tempfile.TemporaryDirectory() as root:
                seconds[workers], shards = collect_with(workers, options, Path(root))
            lost, busy = lost_between_shards(shards)
            loads = sum(float(shard.manifest.record["engine_seconds"]) > LOADED_SECONDS for shard in shards)
            results.append(
                {
                    "workers": workers,
                    "seconds": round(seconds[workers], 2),
                    "lost_between_shards": round(lost, 3),
                    "lost_share": round(lost / busy, 4),
                    "model_loads": loads,
                }
            )
            print(json.dumps(results[-1]), flush=True)
        speedups.append(seconds[1] / seconds[2])
    found = {"speedup": round(statistics.median(speedups), 3), "speedups": speedups, "runs": results}
    print(json.dumps(found))
    save(options.json, found)


if __name__ == "__main__":
    main()
