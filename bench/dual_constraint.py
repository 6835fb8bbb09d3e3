"""Is the dual constraint kept, do both engines say the same, and what does it cost? Prints a table, then JSON.

    latent dual build latent-mini out/dual
    OMP_NUM_THREADS=1 python -m bench.dual_constraint out/dual --engines transformers,vllm

Three parts, on procedural word problems:

- *kept*: completions sampled in one call, every third with the dual vocabulary switched off; each token is checked
  against the phases. A control without the constraint shows how many violations there would be.
- *agree*: greedy completions of both engines; for one that differs, the first position where it does.
- *cost*: pairs of runs with and without the constraint, one after the other in changing order, every completion of the
  same number of tokens; the ratio of CPU times, its median over the pairs. Without means: vLLM's processor is loaded
  but does nothing, transformers gets none.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.record import add_json_option, save
from latent_core import prompts
from latent_core.benchmarks.word_problems import generate_problem
from latent_core.config.sampling import SamplingConfig
from latent_core.dual import Phase, PhaseMachine
from latent_core.generate.engine import Generation, Request
from latent_core.models.readable import ReadableModel
from latent_core.models.tokens import encode

FIXED_TOKENS = 64  # of each completion in the cost runs: most of them in the think phase, as in real use
NEVER = 1 << 30  # a stop id that no model has


def requests_for(model: ReadableModel, count: int, *, mixed: bool) -> list[Request]:
    requests = []
    for index in range(count):
        problem = generate_problem("test", index, difficulty=1 + index % 3)
        text = prompts.render_prompt(problem.question, model.tokenizer, model.family)
        ids = tuple(encode(text, model.tokenizer))
        requests.append(Request(ids, seed=index, constrained=not mixed or index % 3 != 2))
    return requests


def load(kind: str, directory: Path) -> Any:
    if kind == "vllm":
        from latent_core.generate.vllm_engine import VllmEngine

        return VllmEngine(directory)
    from latent_core.generate.transformers_engine import TransformersEngine

    return TransformersEngine(directory)


@contextmanager
def without_constraint(kind: str, engine: Any) -> Iterator[None]:
    if kind == "vllm":
        from latent_core.serving.constraint import DualConstraint

        apply, update = DualConstraint.apply, DualConstraint.update_state
        DualConstraint.apply = lambda self, logits: logits
        DualConstraint.update_state = lambda self, batch_update: None
        try:
            yield
        finally:
            DualConstraint.apply, DualConstraint.update_state = apply, update
    else:
        machine, engine._machine = engine._machine, None
        try:
            yield
        finally:
            engine._machine = machine


@contextmanager
def never_stopping(engine: Any) -> Iterator[None]:
    stop_ids, engine._stop_ids = engine._stop_ids, (NEVER,) if hasattr(engine, "device") else frozenset()
    try:
        yield
    finally:
        engine._stop_ids = stop_ids


def violations(machine: PhaseMachine, requests: Sequence[Request], generations: Sequence[Generation]) -> dict[str, int]:
    found = tokens = latent = 0
    for request, generation in zip(requests, generations, strict=True):
        start = None if request.constrained else Phase.PLAIN
        found += int(machine.violations(request.prompt_ids, generation.token_ids, start=start).size)
        tokens += len(generation.token_ids)
        latent += int(machine.vocabulary.is_latent(list(generation.token_ids)).sum())
    return {"completions": len(requests), "tokens": tokens, "latent_tokens": latent, "violations": found}


def kept(kind: str, engine: Any, model: ReadableModel, machine: PhaseMachine, count: int, batch: int) -> dict[str, Any]:
    requests = requests_for(model, count, mixed=True)
    sampling = SamplingConfig(temperature=1.0, max_new_tokens=192, batch_tokens=batch * 300)
    started, cpu = time.monotonic(), time.process_time()
    generations = engine.generate(requests, sampling)
    result: dict[str, Any] = violations(machine, requests, generations)
    result["switched_off"] = sum(not request.constrained for request in requests)
    result["cpu_seconds"] = round(time.process_time() - cpu, 1)
    result["seconds"] = round(time.monotonic() - started, 1)
    control = requests[: max(60, count // 20)]
    with without_constraint(kind, engine):
        result["control"] = violations(machine, control, engine.generate(control, sampling))
    return result


def agree(one: Sequence[Generation], other: Sequence[Generation]) -> dict[str, Any]:
    differing = []
    for index, (first, second) in enumerate(zip(one, other, strict=True)):
        if first.token_ids != second.token_ids:
            pairs = zip(first.token_ids, second.token_ids, strict=False)
            shorter = min(len(first.token_ids), len(second.token_ids))
            position = next((at for at, (a, b) in enumerate(pairs) if a != b), shorter)
            differing.append({"prompt": index, "position": position})
    return {"prompts": len(one), "identical": len(one) - len(differing), "differing": differing}


def cost(kind: str, engine: Any, model: ReadableModel, batch: int, pairs: int) -> dict[str, Any]:
    requests = requests_for(model, batch, mixed=False)
    sampling = SamplingConfig(max_new_tokens=FIXED_TOKENS, batch_tokens=batch * 400)
    ratios, seconds = [], []

    def cpu(constrained: bool) -> float:
        before = time.process_time()
        if constrained:
            engine.generate(requests, sampling)
        else:
            with without_constraint(kind, engine):
                engine.generate(requests, sampling)
        return time.process_time() - before

    with never_stopping(engine):
        cpu(True), cpu(False)
        for number in range(pairs):
            order = (True, False) if number % 2 == 0 else (False, True)
            taken = {constrained: cpu(constrained) for constrained in order}
            ratios.append(taken[True] / taken[False])
            seconds.append(taken[False])
    return {
        "batch": batch,
        "pairs": pairs,
        "tokens": batch * FIXED_TOKENS,
        "median_ratio": round(statistics.median(ratios), 4),
        "ratios": [round(ratio, 4) for ratio in ratios],
        "median_cpu_seconds_without": round(statistics.median(seconds), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path, help="a dual model's directory")
    parser.add_argument("--engines", default="transformers,vllm")
    parser.add_argument("--completions", type=int, default=2000)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--batches", default="32,128")
    parser.add_argument("--pairs", type=int, default=5)
    add_json_option(parser)
    arguments = parser.parse_args()
    model = ReadableModel.load(arguments.model)
    if model.vocabulary is None:
        parser.error(f"{arguments.model} is not a dual model")
    machine = PhaseMachine(model.vocabulary)
    greedy = requests_for(model, arguments.prompts, mixed=False)
    said: dict[str, list[Generation]] = {}
    results: dict[str, Any] = {}

    def keep() -> None:
        save(arguments.json, results)

    for kind in arguments.engines.split(","):
        engine = load(kind, arguments.model)
        said[kind] = engine.generate(greedy, SamplingConfig(max_new_tokens=192, batch_tokens=64 * 300))
        if len(said) == 2:
            results["agree"] = agree(*said.values())
            keep()
        part = results[kind] = {"kept": {}, "cost": []}
        part["kept"] = kept(kind, engine, model, machine, arguments.completions, batch=128)
        keep()
        for batch in map(int, filter(None, arguments.batches.split(","))):
            part["cost"].append(cost(kind, engine, model, batch, arguments.pairs))
            keep()
        engine.close()
    print(f"{'engine':14}{'batch':>6}{'tokens':>9}{'CPU ratio with / without':>27}")
    for kind in said:
        for row in results[kind]["cost"]:
            print(f"{kind:14}{row['batch']:>6}{row['tokens']:>9}{row['median_ratio']:>27.3f}")
    for kind in said:
        row = results[kind]["kept"]
        print(f"{kind}: {row['violations']} violations in {row['tokens']} tokens of {row['completions']} completions;")
        print(f"  control: {row['control']['violations']} in {row['control']['tokens']}")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
