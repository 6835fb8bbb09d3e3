"""32 concurrent requests to the scorer's server against the same requests one at a time; paired, one thread.

    OMP_NUM_THREADS=1 python -m bench.scorer [--model latent-mini] [--requests 32] [--runs 7] [--group 8]

Both sides send the same completions to the same server, alternating. Besides the wall clock, the server's CPU time is
taken, which a shared machine disturbs less. `--group` is how many completions have one prompt, as in a group of
rollouts; `--words` is the length of the reasoning.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil

_PORT = 18009


def bodies(count: int, group: int, words: int, seed: int) -> list[dict[str, Any]]:
    """Completions of made-up sums, `group` of them a prompt."""
    found = []
    for index in range(count):
        question = random.Random(f"{seed}/{index // group}")
        first, second = question.randrange(10, 99), question.randrange(10, 99)
        draw = random.Random(f"{seed}/{index}")
        parts = "so we add them up and then look again".split()
        thought = " ".join(draw.choice(parts) for _ in range(draw.randrange(words // 2, words * 3 // 2)))
        found.append(
            {
                "prompt": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nPlease reason "
                f"step by step. Ann has {first} apples and buys {second} more. How many apples does she have in the "
                "end?<|im_end|>\n<|im_start|>assistant\n<think>\n",
                "completion": f"{thought} {first} + {second} = {first + second}\n\n</think>\n\n",
                "gold": str(first + second),
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="latent-mini")
    parser.add_argument("--requests", type=int, default=32)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--words", type=int, default=60)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    command = [sys.executable, "-m", "flows.cli", "scorer", "--model", given.model, "--port", str(_PORT)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ) as server:
        try:
            result = measure(psutil.Process(server.pid), given)
        finally:
            server.terminate()
    print(json.dumps(result, indent=1))
    if given.json:
        given.json.write_text(json.dumps(result))


def measure(server: psutil.Process, given: argparse.Namespace) -> dict[str, Any]:
    """Medians of the paired ratios, one at a time over concurrent."""
    wall, cpu, largest = [], [], 0.0
    limits = httpx.Limits(max_connections=given.requests)
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{_PORT}", timeout=300, limits=limits) as client,
        ThreadPoolExecutor(given.requests) as pool,
    ):
        _await(client)

        def post(body: dict[str, Any]) -> float:
            return float(client.post("/score", json=body).raise_for_status().json()["score"])

        for run in range(given.runs + 1):
            batch = bodies(given.requests, given.group, given.words, run)
            seconds, burnt = {}, {}
            scores = {}
            for name, call in (("single", map), ("concurrent", pool.map)):
                before = sum(server.cpu_times()[:2])
                started = time.perf_counter()
                scores[name] = list(call(post, batch))
                seconds[name] = time.perf_counter() - started
                burnt[name] = sum(server.cpu_times()[:2]) - before
            largest = max(abs(a - b) for a, b in zip(*scores.values(), strict=True))
            if run:  # the first warms up
                wall.append(seconds["single"] / seconds["concurrent"])
                cpu.append(burnt["single"] / burnt["concurrent"])
    return {
        "wall_ratio": round(statistics.median(wall), 2),
        "wall_ratios": [round(ratio, 2) for ratio in wall],
        "server_cpu_ratio": round(statistics.median(cpu), 2),
        "largest_difference": largest,
        "seconds_concurrent_last": round(seconds["concurrent"], 3),
    }


def _await(client: httpx.Client) -> None:
    for _ in range(600):
        try:
            client.get("/health").raise_for_status()
            return
        except httpx.TransportError:
            time.sleep(0.2)
    raise SystemExit("the server did not come up")


if __name__ == "__main__":
    main()
