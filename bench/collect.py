"""Collection through the pipeline against what a user would otherwise write, on the same prompts, in pairs.

    OMP_NUM_THREADS=1 python -m bench.collect --engine vllm [--model latent-mini] [--questions 64] [--pairs 5]

The pipeline's side is the stage `collect_shard` as a run calls it, artifact included. The other side:

- vllm: `LLM.generate` on the same model object, with the rendered prompts and `n` samples each;
- transformers: `model.generate` in batches of a fixed number of prompts, in the order they come, padded on the left.

Both sample at the same temperature with seeds of their own; compared are generated tokens per CPU second. The two sides
of a pair run one after the other, in changing order; printed are the ratios (pipeline over plain) and their median.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.record import add_json_option, save
from latent_core import prompts
from latent_core.benchmarks.registry import open_split
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.sampling import SamplingConfig
from latent_core.models.readable import ReadableModel
from latent_core.models.source import open_model
from latent_core.models.tokens import encode
from latent_core.store import ArtifactStore
from tasks.collect import CollectInputs, CollectShard, collect_shard
from tasks.inputs import ModelInput, ProblemsInput
from tasks.stage import Workplace
from tasks.workers.compute import perform
from tasks.workers.engines import Served, warm_engine

TARGET = 0.95  # of the plain engine's tokens per CPU second
BENCHMARK = BenchmarkConfig()


def plain_vllm(engine: Any, texts: list[str], model: ReadableModel, sampling: SamplingConfig) -> int:
    """Tokens that vLLM's own entry point generates for the prompts."""
    from vllm import SamplingParams

    parameters = SamplingParams(
        n=sampling.samples,
        temperature=sampling.temperature,
        max_tokens=sampling.max_new_tokens,
        seed=sampling.seed,
        stop_token_ids=sorted(model.family.stop_ids),
        detokenize=False,  # the tokenizer is not loaded in the engine
    )
    encoded = [{"prompt_token_ids": encode(text, model.tokenizer)} for text in texts]
    outputs = engine._llm.generate(encoded, parameters, use_tqdm=False)
    return sum(len(completion.token_ids) for output in outputs for completion in output.outputs)


def plain_transformers(
    engine: Any, texts: list[str], model: ReadableModel, sampling: SamplingConfig, batch_size: int
) -> int:
    """Tokens that `generate` makes of the prompts in arrival order, what follows a stop token not counted."""
    import torch

    torch.manual_seed(sampling.seed)
    model.tokenizer.padding_side = "left"
    rows = [text for text in texts for _ in range(sampling.samples)]
    tokens = 0
    for start in range(0, len(rows), batch_size):
        batch = model.tokenizer(
            rows[start : start + batch_size], return_tensors="pt", padding=True, add_special_tokens=False
        )
        with torch.inference_mode():
            output = engine.model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                do_sample=True,
                temperature=sampling.temperature,
                max_new_tokens=sampling.max_new_tokens,
                eos_token_id=list(model.family.stop_ids),
                pad_token_id=model.family.pad_id,
            )
        for row in output[:, batch["input_ids"].shape[1] :].tolist():
            ends = [position for position, token in enumerate(row) if token in model.family.stop_ids]
            tokens += ends[0] + 1 if ends else len(row)
    return tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=["vllm", "transformers"], required=True)
    parser.add_argument("--model", default="latent-mini")
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--max-new-tokens", type=int, default=192)
    parser.add_argument("--batch-size", type=int, default=32, help="of the plain transformers side")
    parser.add_argument("--pairs", type=int, default=5)
    add_json_option(parser)
    options = parser.parse_args()

    source, problems = open_model(options.model), open_split(BENCHMARK, "train")
    model = ReadableModel.load(source.directory)
    texts = [
        prompts.render_prompt(problem.question, model.tokenizer, model.family)
        for problem in problems.problems(0, options.questions)
    ]

    def sampling(seed: int) -> SamplingConfig:
        return SamplingConfig(
            engine=options.engine,
            temperature=0.7,
            samples=options.samples,
            max_new_tokens=options.max_new_tokens,
            seed=seed,
            batch_tokens=options.batch_size * (options.max_new_tokens + 128),
        )

    engine: Any = warm_engine(Served(source.directory), source.fingerprint, sampling(0))
    with tempfile.TemporaryDirectory() as scratch:
        store = ArtifactStore(Path(scratch) / "store")
        workplace = Workplace(store, Path(scratch) / "work", lambda done, total, tokens: None)
        inputs = CollectInputs(ModelInput.find(options.model), ProblemsInput.find(BENCHMARK, "train"))

        def pipeline(seed: int) -> int:
            call = collect_shard.call(CollectShard(sampling=sampling(seed), start=0, stop=options.questions), inputs)
            return int(perform(call, workplace).manifest.content.metrics["tokens"])

        def plain(seed: int) -> int:
            if options.engine == "vllm":
                return plain_vllm(engine, texts, model, sampling(seed))
            return plain_transformers(engine, texts, model, sampling(seed), options.batch_size)

        pipeline(0), plain(0)  # starts vLLM, and pays for what is imported late
        ratios = [_pair(pipeline, plain, number) for number in range(1, options.pairs + 1)]
    engine.close()
    result = {
        "engine": options.engine,
        "model": options.model,
        "completions": options.questions * options.samples,
        "ratios": [round(ratio, 3) for ratio in ratios],
        "median_ratio": round(statistics.median(ratios), 3),
    }
    print(f"{options.engine}, {options.model}: pipeline / plain = {result['median_ratio']} (target {TARGET} for vllm)")
    print(json.dumps(result))
    save(options.json, result)


def _pair(pipeline: Callable[[int], int], plain: Callable[[int], int], number: int) -> float:
    sides = {"pipeline": pipeline, "plain": plain}
    order = ("pipeline", "plain") if number % 2 else ("plain", "pipeline")
    rates = {}
    for name in order:
        started = time.process_time()
        tokens = sides[name](number)
        rates[name] = tokens / (time.process_time() - started)
    return rates["pipeline"] / rates["plain"]


if __name__ == "__main__":
    main()
