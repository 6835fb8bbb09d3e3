"""The dual constraint in vLLM while requests are prefilled in chunks, preempted, and share prefixes.

    python -m bench.dual_pressure DUAL_MODEL [--requests 400] [--blocks 24] [--step-tokens 64] [--chunked]

Few key-value blocks make vLLM preempt requests and start them again; few tokens a step cut prompts into chunks. Mixed
requests (constrained, switched off, two samples of one prompt) are checked token by token against the phase machine.
Draws are not seeded with --chunked: vLLM 0.32 dies on seeded requests whose prompt comes in chunks on a CPU. The counts
of preemptions, prefill chunks and prefix hits are vLLM's own, so that a run that put no pressure on it shows zeros.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench.dual_constraint import requests_for, violations
from bench.record import add_json_option, save
from latent_core.dual import PhaseMachine
from latent_core.generate.engine import Generation
from latent_core.generate.vllm_engine import prepare_environment
from latent_core.models.readable import ReadableModel

MAX_TOKENS = 160


def start(directory: Path, blocks: int, step_tokens: int, chunked: bool) -> Any:
    prepare_environment()
    from vllm import LLM

    from latent_core.serving.constraint import PROCESSOR

    length = 512
    return LLM(
        str(directory),
        skip_tokenizer_init=True,
        generation_config="vllm",
        dtype="float32",
        enforce_eager=True,
        max_model_len=length,
        block_size=32,
        max_num_seqs=64,
        num_gpu_blocks_override=blocks,
        max_num_batched_tokens=step_tokens if chunked else max(step_tokens, length),
        enable_chunked_prefill=chunked,
        enable_prefix_caching=True,
        disable_log_stats=False,
        logits_processors=[PROCESSOR],
    )


def counters(llm: Any) -> dict[str, float]:
    wanted = {"preemptions", "prefix_cache_queries", "prefix_cache_hits", "prompt_tokens"}
    return {
        metric.name.removeprefix("vllm:"): metric.value
        for metric in llm.get_metrics()
        if any(name in metric.name for name in wanted) and hasattr(metric, "value")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path, help="a dual model's directory")
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--blocks", type=int, default=24)
    parser.add_argument("--step-tokens", type=int, default=64)
    parser.add_argument("--chunked", action="store_true")
    add_json_option(parser)
    arguments = parser.parse_args()
    model = ReadableModel.load(arguments.model)
    if model.vocabulary is None:
        parser.error(f"{arguments.model} is not a dual model")
    llm = start(arguments.model, arguments.blocks, arguments.step_tokens, arguments.chunked)
    from vllm import SamplingParams

    requests = requests_for(model, arguments.requests, mixed=True)
    parameters = [
        SamplingParams(
            n=2 if number % 4 == 0 else 1,
            temperature=1.0,
            max_tokens=MAX_TOKENS,
            seed=None if arguments.chunked else request.seed,
            stop_token_ids=sorted(model.family.stop_ids),
            detokenize=False,
            extra_args={"dual_vocab": request.constrained},
        )
        for number, request in enumerate(requests)
    ]
    prompts = [{"prompt_token_ids": list(request.prompt_ids)} for request in requests]
    outputs = llm.generate(prompts, parameters, use_tqdm=False)
    pairs = [
        (request, Generation(tuple(completion.token_ids), "stop"))
        for request, output in zip(requests, outputs, strict=True)
        for completion in output.outputs
    ]
    found: dict[str, Any] = violations(PhaseMachine(model.vocabulary), *map(list, zip(*pairs, strict=True)))
    found |= {"chunked": arguments.chunked, "switched_off": sum(not request.constrained for request, _ in pairs)}
    found |= counters(llm)
    print(json.dumps(found))
    save(arguments.json, found)


if __name__ == "__main__":
    main()
