"""The transformers engine's batches against one plain call of `generate` on the same rows, in pairs.

    OMP_NUM_THREADS=1 python -m bench.batch_cache [--model latent-mini] [--rows 128] [--pairs 3]

The sides take turns: `plain` is one call of `generate` with transformers' DynamicCache until the last row has ended,
`static` the same with its StaticCache, `engine` is this project's (its cache, and segments that leave ended rows
behind). Compared are generated tokens per CPU second; every side must give the same ids.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

from bench.record import add_json_option, save
from latent_core import prompts
from latent_core.benchmarks.registry import open_split
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.sampling import SamplingConfig
from latent_core.generate.engine import Request, item_seed
from latent_core.generate.transformers_engine import TransformersEngine
from latent_core.models.readable import ReadableModel
from latent_core.models.source import open_model

SIDES = ("plain", "static", "engine")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="latent-mini")
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--max-new-tokens", type=int, default=256)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--pairs", type=int, default=3)
    add_json_option(parser)
    options = parser.parse_args()

    directory = open_model(options.model).directory
    model, engine = ReadableModel.load(directory), TransformersEngine(directory)
    requests = [Request(ids, item_seed(0, name, 0)) for name, ids in question_prompts(model, options.rows).items()]
    sampling = SamplingConfig(
        max_new_tokens=options.max_new_tokens, temperature=options.temperature, batch_tokens=10**9
    )
    _completed("plain", engine, requests[:2], sampling)  # pays for what is imported late
    rates: dict[str, list[float]] = {side: [] for side in SIDES}
    seen: dict[str, list[tuple[int, ...]]] = {}
    for pair in range(options.pairs):
        for side in SIDES[pair % len(SIDES) :] + SIDES[: pair % len(SIDES)]:
            started = time.process_time()
            seen[side] = _completed(side, engine, requests, sampling)
            rates[side].append(sum(map(len, seen[side])) / (time.process_time() - started))
    result = {
        "model": options.model,
        "rows": options.rows,
        "temperature": options.temperature,
        "tokens": sum(map(len, seen["plain"])),
        "equal_to_plain": {side: sum(map(tuple.__eq__, seen[side], seen["plain"])) for side in SIDES[1:]},
        "tokens_per_cpu_second": {side: [round(rate) for rate in found] for side, found in rates.items()},
        "ratios_to_plain": {side: _ratios(rates[side], rates["plain"]) for side in SIDES[1:]},
        "median_ratio": {side: statistics.median(_ratios(rates[side], rates["plain"])) for side in SIDES[1:]},
    }
    print(json.dumps(result))
    save(options.json, result)


def question_prompts(model: ReadableModel, count: int) -> dict[str, tuple[int, ...]]:
    """The prompts of the first training questions of the default benchmark, by the questions' ids."""
    return {
        problem.question_id: tuple(
            model.encode_packed(prompts.render_prompt(problem.question, model.tokenizer, model.family))
        )
        for problem in open_split(BenchmarkConfig(), "train").problems(0, count)
    }


def _ratios(rates: Sequence[float], plain: Sequence[float]) -> list[float]:
    return [round(one / other, 2) for one, other in zip(rates, plain, strict=True)]


def _completed(
    side: str, engine: TransformersEngine, requests: Sequence[Request], sampling: SamplingConfig
) -> list[tuple[int, ...]]:
    if side == "engine":
        return [generation.token_ids for generation in engine.generate(requests, sampling)]
    return one_call(engine, requests, sampling, None if side == "plain" else side)


def one_call(
    engine: Any, requests: Sequence[Request], sampling: SamplingConfig, cache: str | None
) -> list[tuple[int, ...]]:
    """The ids of every row from one call of `generate` for all, until the last has ended; `cache` is transformers' name
    of one, None its own default."""
    import torch
    from transformers import GenerationConfig

    width = max(len(request.prompt_ids) for request in requests)
    padding = [width - len(request.prompt_ids) for request in requests]
    ids = [[engine._pad_id] * left + list(request.prompt_ids) for left, request in zip(padding, requests, strict=True)]
    config = GenerationConfig(
        max_new_tokens=sampling.max_new_tokens,
        do_sample=False,
        eos_token_id=list(engine._stop_ids),
        pad_token_id=engine._pad_id,
        cache_implementation=cache,
    )
    with torch.inference_mode():
        output = engine.model.generate(
            input_ids=torch.tensor(ids),
            attention_mask=torch.tensor([[0] * left + [1] * (width - left) for left in padding]),
            generation_config=config,
            logits_processor=engine._processors(requests, sampling, width),
        )
    found = []
    for row in output[:, width:].tolist():
        end = next((place for place, token in enumerate(row) if token in engine._stop_ids), len(row))
        found.append(tuple(row[: end + 1]))
    return found


if __name__ == "__main__":
    main()
