"""Rollouts with vLLM against rollouts with the model in training: tokens a CPU second, in pairs, in one process.

    OMP_NUM_THREADS=1 python -m bench.rollouts [--model latent-mini] [--dual] [--rows 64] [--pairs 5]

Each side draws what a step of `latent run grpo` draws: groups of 8 at temperature 1, other questions and seeds for each
pair. The sides take turns in who begins. vLLM's time has the hand-over of a model with a LoRA adapter, as every step
does, and the log-probabilities that the correction needs; its start is not counted. The CPU time is of all threads.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.record import add_json_option, save
from latent_core import prompts
from latent_core.benchmarks.registry import open_split
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.grpo import GrpoConfig
from latent_core.dual import build_dual
from latent_core.dual.vocabulary import DualVocabulary
from latent_core.generate.engine import Request, item_seed
from latent_core.models.readable import ReadableModel
from latent_core.models.source import open_model
from latent_core.rl.policy.engine import PolicyEngine, policy_engine
from latent_core.rl.policy.trained_weights import trained_weights
from latent_core.sft.weights import adapter_config, learning_rows, load_model

_SAMPLES = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="latent-mini")
    parser.add_argument("--dual", action="store_true", help="the model with a dual vocabulary")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--max-new-tokens", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=5)
    add_json_option(parser)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        directory = open_model(options.model).directory
        if options.dual:
            build_dual(directory, Path(folder) / "dual")
            directory = Path(folder) / "dual"
        result = _measured(directory, options)
    print(json.dumps(result))
    save(options.json, result)


def _measured(directory: Path, options: argparse.Namespace) -> dict[str, Any]:
    trainer = _trainer(directory)
    configs = {
        side: GrpoConfig.model_validate({"rollout": {"engine": side, "max_new_tokens": options.max_new_tokens}})
        for side in ("transformers", "vllm")
    }
    sides = {side: policy_engine(config, config.rollout, directory, longest=0) for side, config in configs.items()}
    readable = ReadableModel.load(directory)
    rates: dict[str, list[float]] = {side: [] for side in sides}
    tokens = dict.fromkeys(sides, 0)
    hand_overs: list[float] = []
    for pair in range(-1, options.pairs):  # the first pays for starts and late imports
        requests = _requests(readable, options.rows, pair + 1)
        for side in sorted(sides, reverse=pair % 2 == 1):
            started = time.process_time()
            count = _drawn(sides[side], trainer, requests, configs[side])
            spent = time.process_time() - started
            if pair >= 0:
                rates[side].append(count / spent)
                tokens[side] += count
        if pair >= 0:
            started = time.process_time()
            for _ in trained_weights(trainer.model):
                pass
            hand_overs.append(time.process_time() - started)
    for engine in sides.values():
        engine.close()
    ratios = [round(one / other, 2) for one, other in zip(rates["vllm"], rates["transformers"], strict=True)]
    return {
        "model": options.model,
        "dual": options.dual,
        "rows": options.rows,
        "tokens": tokens,
        "tokens_per_cpu_second": {side: [round(rate) for rate in found] for side, found in rates.items()},
        "ratios": ratios,
        "median_ratio": statistics.median(ratios),
        "least_ratio": min(ratios),
        "greatest_ratio": max(ratios),
        "merging_cpu_seconds": round(statistics.median(hand_overs), 3),
    }


def _trainer(directory: Path) -> Any:
    """What engines see of one: a model with a LoRA adapter."""
    from contextlib import nullcontext

    from peft import get_peft_model

    config = GrpoConfig()
    model = load_model(directory, config)
    vocabulary = DualVocabulary.find(directory)
    latents = range(vocabulary.visible_size, vocabulary.size) if vocabulary else range(0)
    rows = learning_rows(config, latents, tied=bool(model.config.tie_word_embeddings))
    model = get_peft_model(model, adapter_config(config, rows)).train()
    accelerator = SimpleNamespace(unwrap_model=lambda model: model, autocast=nullcontext)
    return SimpleNamespace(model=model, accelerator=accelerator)


def _requests(readable: ReadableModel, rows: int, pair: int) -> list[Request]:
    """Groups of a step's questions; no other pair has them."""
    questions = rows // _SAMPLES
    problems = open_split(BenchmarkConfig(), "train").problems(pair * questions, (pair + 1) * questions)
    found = []
    for problem in problems:
        ids = tuple(
            readable.encode_packed(prompts.render_prompt(problem.question, readable.tokenizer, readable.family))
        )
        found += [Request(ids, item_seed(pair, problem.question_id, sample)) for sample in range(_SAMPLES)]
    return found


def _drawn(side: PolicyEngine, trainer: Any, requests: Sequence[Request], config: GrpoConfig) -> int:
    with side.serving(trainer) as engine:
        sampling = config.rollout.sampling(0, _SAMPLES, logprobs=config.rollout.is_corrected)
        outputs = engine.generate(requests, sampling)
    return sum(len(output.token_ids) for output in outputs)


if __name__ == "__main__":
    main()
