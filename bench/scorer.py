"""32 concurrent requests to the scorer's server against the same requests one at a time; paired, one thread.

    OMP_NUM_THREADS=1 python -m bench.scorer [--model latent-mini] [--requests 32] [--runs 7] [--group 8]
    OMP_NUM_THREADS=1 python -m bench.scorer --in-process

Both sides send the same completions to the same server, alternating. Besides the wall clock, the server's CPU time is
taken, which a shared machine disturbs less. `--group` is how many completions have one prompt, as in a group of
rollouts; `--words` is the length of the reasoning, `--shots` how many worked examples its prompt begins with.

`--in-process` leaves the server out and adds what one would write without it: a whole forward pass for every completion
and each of the two spellings of its gold. It takes CPU time, since nothing waits there.
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
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import psutil

from bench.record import add_json_option, save

_PORT = 18009
_EXAMPLE = "Question: Bob has 7 pears and eats 2. How many are left? Answer: 7 - 2 = 5, so 5 pears are left. Question: "


def bodies(count: int, group: int, words: int, seed: int, shots: int = 0) -> list[dict[str, Any]]:
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
                f"step by step. {_EXAMPLE * shots}Ann has {first} apples and buys {second} more. How many apples does "
                "she have in the end?<|im_end|>\n<|im_start|>assistant\n<think>\n",
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
    parser.add_argument("--shots", type=int, default=0)
    parser.add_argument("--in-process", action="store_true")
    add_json_option(parser)
    given = parser.parse_args()
    result = in_process(given) if given.in_process else served(given)
    print(json.dumps(result, indent=1))
    save(given.json, result)


def served(given: argparse.Namespace) -> dict[str, Any]:
    """`measure` on a server of its own."""
    command = [sys.executable, "-m", "flows.cli", "scorer", "--model", given.model, "--port", str(_PORT)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ) as server:
        try:
            return measure(psutil.Process(server.pid), given)
        finally:
            server.terminate()


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
            batch = bodies(given.requests, given.group, given.words, run, given.shots)
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


def in_process(given: argparse.Namespace) -> dict[str, Any]:
    """Medians of the paired ratios: plain passes, and the scorer one completion at a time, over a batch of all."""
    from latent_core.models.source import open_model
    from latent_core.reward.scorer import Scorer
    from latent_core.reward.scores import ScoreRequest

    scorer = Scorer(open_model(given.model).directory)
    ratios: dict[str, list[float]] = {"plain": [], "single": []}
    each, lengths, largest = {"plain": 0.0, "single": 0.0, "batch": 0.0}, [], 0.0
    for run in range(given.runs + 1):
        requests = [
            ScoreRequest(
                scorer.encode_completion(body["prompt"], latent=False),
                scorer.encode_completion(body["completion"], latent=False),
                body["gold"],
            )
            for body in bodies(given.requests, given.group, given.words, run, given.shots)
        ]
        lengths = [len(request.prompt_ids) + len(request.completion_ids) for request in requests]
        seconds, scores = {}, {}
        for name, call in (
            ("plain", partial(plain_passes, scorer)),
            ("single", lambda requests: [scorer.score([request])[0].score for request in requests]),
            ("batch", lambda requests: [score.score for score in scorer.score(requests)]),
        ):
            started = time.process_time()
            scores[name] = call(requests)
            seconds[name] = time.process_time() - started
        largest = max(largest, *(abs(a - b) for a, b in zip(scores["plain"], scores["batch"], strict=True)))
        if run:  # the first warms up
            for name, found in ratios.items():
                found.append(seconds[name] / seconds["batch"])
            each = {name: 1000 * spent / given.requests for name, spent in seconds.items()}
    return {f"{name}_over_batch": round(statistics.median(found), 2) for name, found in ratios.items()} | {
        "ratios": {name: [round(ratio, 2) for ratio in found] for name, found in ratios.items()},
        "cpu_ms_a_completion_last": {name: round(spent, 2) for name, spent in each.items()},
        "tokens": [min(lengths), round(statistics.mean(lengths)), max(lengths)],
        "largest_difference": largest,
    }


def plain_passes(scorer: Any, requests: Sequence[Any]) -> list[float]:
    """The same scores by the book: the whole sequence once for each spelling, all of its logits."""
    import torch

    from latent_core.reward.frame import spellings

    found = []
    end = scorer.readable.family.think_end_id
    for request in requests:
        thought = request.completion_ids[: request.completion_ids.index(end) + 1]
        means = []
        for spelling in spellings(request.gold, scorer.frame, scorer.readable.tokenizer):
            ids = torch.tensor([[*request.prompt_ids, *thought, *spelling.ids]])
            with torch.inference_mode():
                logits = scorer._model(input_ids=ids).logits[0].float()
            own = range(ids.shape[1] - len(spelling.ids) + spelling.begin, ids.shape[1])
            means.append(sum(float(logits[i - 1].log_softmax(-1)[ids[0, i]]) for i in own) / len(own))
        found.append(max(means))
    return found


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
