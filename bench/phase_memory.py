"""Memory and time of a dual model's training loss: full softmax over V+L ids, against what each phase allows.

    python -m bench.phase_memory [--vocabulary 300000] [--hidden 1024] [--tokens 1024] [--runs 3] [--device cpu]
                                 [--json out.json]

One forward and backward pass of the loss, from hidden states to the gradients of these and of the latent rows, which
learn beside a frozen weight (the default of dual training). Half of the ids are latent, three quarters of the tokens
are reasoning.

- `full`: what training with `train.support: full` does: the rows that learn are written into a copy of the weight, the
  logits of all ids are computed, and cross entropy is taken in float32;
- `phase`: `latent_core.likelihood`, as `train.support: phase` computes it.

Every run is a process of its own, and the two take turns. Memory is the peak beyond what the process held before the
pass (weights and hidden states): resident memory on a CPU, allocated memory on a GPU. Weights are float32 on a CPU,
bfloat16 on a GPU. Needs torch, transformers and this repository.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any, NamedTuple

from bench.record import add_json_option, save

WAYS = ("full", "phase")


class Shape(NamedTuple):
    """What is measured: ids in all (half of them latent), width of the hidden states, positions, and where."""

    vocabulary: int
    hidden: int
    tokens: int
    device: str


class Cost(NamedTuple):
    """Of one forward and backward pass: bytes beyond what was there before, seconds, and the loss in nats a token."""

    bytes: int
    seconds: float
    loss: float


class Batch(NamedTuple):
    """The tensors of a pass, and the phase machine."""

    machine: Any
    weight: Any
    rows: Any
    hidden: Any
    ids: Any
    phases: Any


def batch_of(shape: Shape) -> Batch:
    """Random weights, rows that learn, hidden states; and ids that their phases allow."""
    import torch

    from latent_core.dual.constraint import Phase, PhaseMachine
    from latent_core.dual.vocabulary import DualVocabulary

    visible = shape.vocabulary // 2
    sources = tuple(range(shape.vocabulary - visible))
    machine = PhaseMachine(DualVocabulary(visible, sources, visible - 2, visible - 1, eos_ids=(0,)))
    torch.manual_seed(0)
    place: dict[str, Any] = {
        "device": shape.device, "dtype": torch.float32 if shape.device == "cpu" else torch.bfloat16
    }  # fmt: skip
    weight = torch.empty(shape.vocabulary, shape.hidden, **place).normal_(std=shape.hidden**-0.5)
    rows = weight[visible:].clone().requires_grad_()
    hidden = torch.randn(1, shape.tokens, shape.hidden, **place).requires_grad_()
    answer = torch.arange(shape.tokens, device=shape.device) >= shape.tokens * 3 // 4
    draw = torch.randint(1, visible - 2, (shape.tokens,), device=shape.device)
    ids = torch.where(answer, draw, draw + visible)[None]
    return Batch(machine, weight, rows, hidden, ids, torch.where(answer, int(Phase.ANSWER), int(Phase.THINK))[None])


def loss_of(way: str, batch: Batch) -> Any:
    """The mean loss of the batch, differentiable."""
    import torch

    from latent_core.likelihood import Head, Support, token_logprobs

    visible = batch.machine.vocabulary.visible_size
    if way == "phase":
        head = Head((batch.weight[:visible], batch.rows))
        support = Support.of_machine(batch.machine)
        return -token_logprobs(batch.hidden, head, batch.ids, support, batch.phases).values.mean()
    latents = torch.arange(visible, len(batch.weight), device=batch.weight.device)
    whole = batch.weight.index_copy(0, latents, batch.rows)
    logits = torch.nn.functional.linear(batch.hidden, whole).float()
    return torch.nn.functional.cross_entropy(logits[0], batch.ids[0])


def cost_of(way: str, shape: Shape) -> Cost:
    """A pass in this process. On a GPU one before it warms up; on a CPU it would leave its pages behind."""
    import torch

    from bench.memory import PeakMemory

    batch = batch_of(shape)
    if shape.device == "cpu":
        loss_of(way, batch_of(Shape(512, 16, 8, "cpu"))).backward()  # libraries and thread pools are loaded
        with PeakMemory() as memory:
            started = time.perf_counter()
            loss = loss_of(way, batch)
            loss.backward()
            seconds = time.perf_counter() - started
        return Cost(memory.beyond_start, seconds, float(loss.detach()))
    loss_of(way, batch).backward()
    batch.hidden.grad = batch.rows.grad = None
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before, started = torch.cuda.memory_allocated(), time.perf_counter()
    loss = loss_of(way, batch)
    loss.backward()
    torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    return Cost(torch.cuda.max_memory_allocated() - before, seconds, float(loss.detach()))


def run(way: str, shape: Shape) -> Cost:
    """A pass in a process of its own."""
    command = [sys.executable, "-m", "bench.phase_memory", "--one", way]
    for name, value in shape._asdict().items():
        command += [f"--{name}", str(value)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{way}: the pass failed ({done.returncode}): {done.stderr[-2000:]}")
    return Cost(*json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=int, default=300_000, help="visible and latent ids together")
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    add_json_option(parser)
    arguments = parser.parse_args()
    shape = Shape(arguments.vocabulary, arguments.hidden, arguments.tokens, arguments.device)
    if arguments.one:
        print(json.dumps(cost_of(arguments.one, shape)))
        return
    costs: dict[str, list[Cost]] = {way: [] for way in WAYS}
    for number in range(arguments.runs):
        for way in WAYS:
            costs[way].append(run(way, shape))
            cost = costs[way][-1]
            print(f"run {number + 1}: {way:>5} {cost.bytes / 1e9:7.2f} GB {cost.seconds:7.2f} s", flush=True)
    memory = {way: statistics.median(cost.bytes for cost in costs[way]) for way in WAYS}
    pairs = list(zip(costs["phase"], costs["full"], strict=True))
    results = {
        "shape": shape._asdict(),
        "gigabytes": {way: round(memory[way] / 1e9, 2) for way in WAYS},
        "memory_ratio": round(memory["phase"] / memory["full"], 3),
        "seconds": {way: round(statistics.median(cost.seconds for cost in costs[way]), 3) for way in WAYS},
        "time_ratio": round(statistics.median(phase.seconds / full.seconds for phase, full in pairs), 2),
    }
    print(f"memory: phase / full = {results['memory_ratio']}; time: {results['time_ratio']} (median of pairs)")
    save(arguments.json, results)


if __name__ == "__main__":
    main()
