"""Dialogues of several turns with kept key-value states against reading every prompt anew, in pairs.

    OMP_NUM_THREADS=1 python -m bench.prefix_cache [--model latent-mini] [--prompts 8] [--samples 8] [--turns 4]

Every prompt has several dialogues. A turn is a sampled completion and then `--said` tokens of another prompt, as an
observation of an environment would be. Compared is CPU time; both sides must give the same ids.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from contextlib import nullcontext

from bench.batch_cache import question_prompts
from bench.record import add_json_option, save
from latent_core.config.sampling import SamplingConfig
from latent_core.generate.engine import Generation, Request, item_seed
from latent_core.generate.transformers_engine import TransformersEngine
from latent_core.models.readable import ReadableModel
from latent_core.models.source import open_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="latent-mini")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--said", type=int, default=50, help="tokens between two turns")
    parser.add_argument("--max-new-tokens", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=5)
    add_json_option(parser)
    options = parser.parse_args()

    directory = open_model(options.model).directory
    model, engine = ReadableModel.load(directory), TransformersEngine(directory)
    opened = list(question_prompts(model, options.prompts).values())
    sampling = SamplingConfig(max_new_tokens=options.max_new_tokens, temperature=1.0, logprobs=True, batch_tokens=10**9)

    def played(turns: int) -> list[list[Generation]]:
        ids = [prompt for prompt in opened for _ in range(options.samples)]
        found = []
        for turn in range(turns):
            seeds = [item_seed(0, str(turn), row) for row in range(len(ids))]
            found.append(engine.generate([Request(*row) for row in zip(ids, seeds, strict=True)], sampling))
            said = opened[turn % len(opened)][-options.said :]
            ids = [(*row, *output.token_ids, *said) for row, output in zip(ids, found[-1], strict=True)]
        return found

    played(1)  # pays for what is imported late
    spent: dict[str, list[float]] = {"anew": [], "kept": []}
    seen: dict[str, list[Generation]] = {}
    for pair in range(options.pairs):
        for side in ("anew", "kept") if pair % 2 else ("kept", "anew"):
            started = time.process_time()
            with engine.remembering(10**9) if side == "kept" else nullcontext():
                seen[side] = [output for outputs in played(options.turns) for output in outputs]
            spent[side].append(time.process_time() - started)
    ratios = [round(anew / kept, 2) for anew, kept in zip(spent["anew"], spent["kept"], strict=True)]
    same = [pair for pair in zip(seen["anew"], seen["kept"], strict=True) if pair[0].token_ids == pair[1].token_ids]
    result = {
        "model": options.model,
        "dialogues": options.prompts * options.samples,
        "turns": options.turns,
        "outputs": len(seen["anew"]),
        "equal": len(same),
        "largest_difference": max(
            abs(one - other)
            for pair in same
            for one, other in zip(*(output.logprobs or () for output in pair), strict=True)
        ),
        "tokens_an_output": round(statistics.mean(len(output.token_ids) for output in seen["anew"]), 1),
        "cpu_seconds": {side: [round(seconds, 2) for seconds in found] for side, found in spent.items()},
        "cpu_ratios": ratios,
        "median_ratio": statistics.median(ratios),
        "least_ratio": min(ratios),
        "greatest_ratio": max(ratios),
    }
    print(json.dumps(result))
    save(options.json, result)


if __name__ == "__main__":
    main()
