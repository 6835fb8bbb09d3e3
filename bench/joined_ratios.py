"""What joined passes save: a model's conditions computed one after the other and together, in turn, on a warm engine.

    python -m bench.joined_ratios --engine vllm --questions 300 --slots 32 --slots 256 --pairs 3

What is lost one after the other is the end of each condition, when fewer sequences are left than the engine has slots.
`steps` says how much that is: the lengths of the outputs, played through a continuously batching engine, a step a
token, a slot filled as soon as it is free. A step of a batch that is not full costs less, so the share of steps saved
is the most that joining can save in time. CPU seconds are of this process, grading workers left out; the two ways are
also compared completion by completion. The transformers engine has no slots: there they set its batch.
"""

from __future__ import annotations

import argparse
import heapq
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.record import add_json_option, save
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.sampling import SamplingConfig, VllmConfig
from latent_core.store import ArtifactStore
from tasks.evaluate import EvaluateCondition, EvaluateInputs, evaluate
from tasks.inputs import ModelInput, ProblemsInput
from tasks.stage import StageCall, Workplace
from tasks.tables import SAMPLES
from tasks.workers.compute import perform
from tasks.workers.engines import close_engine
from tasks.workers.joined import perform_with

PROMPT_TOKENS = 150  # about what a word problem takes: with max_new_tokens a slot of the transformers engine


class Measured(NamedTuple):
    """One way to compute all conditions: seconds, and the lengths of the outputs by condition."""

    wall: float
    cpu: float
    outputs: list[list[list[int]]]


def steps(lengths: Sequence[int], slots: int) -> int:
    """Decoding steps until the last of `lengths` tokens is written, at most `slots` sequences at a time."""
    ends: list[int] = []
    for length in lengths:
        start = heapq.heappop(ends) if len(ends) == slots else 0
        heapq.heappush(ends, start + length)
    return max(ends)


def measure(calls: Sequence[StageCall], folder: Path, joined: bool) -> Measured:
    """Compute the calls into an empty store."""
    store = ArtifactStore(str(Path(tempfile.mkdtemp(dir=folder))))

    def workplace(call: StageCall) -> Workplace:
        return Workplace(store, folder / "scratch" / call.ref.key, lambda *_: None)

    wall, cpu = time.monotonic(), time.process_time()
    if joined:
        perform_with(calls[0], calls[1:], workplace)
    else:
        for call in calls:
            perform(call, workplace(call))
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    return Measured(
        wall,
        cpu,
        [
            [row["output_token_ids"] for row in store.require(call.ref).rows_of(SAMPLES.file, ("output_token_ids",))]
            for call in calls
        ],
    )


def calls_of(arguments: argparse.Namespace, slots: int) -> list[StageCall]:
    """One evaluation of the model a ratio, on an engine with this many slots."""
    tokens = arguments.tokens
    sampling = SamplingConfig(
        max_new_tokens=tokens,
        engine=arguments.engine,
        vllm=VllmConfig(max_num_seqs=slots),
        batch_tokens=slots * (PROMPT_TOKENS + tokens),
    )
    inputs = EvaluateInputs(ModelInput.find(arguments.model), ProblemsInput.find(BenchmarkConfig(), "test"))
    return [
        evaluate.call(EvaluateCondition(sampling=sampling, questions=arguments.questions, ratio=ratio), inputs)
        for ratio in arguments.ratios
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="latent-mini")
    parser.add_argument("--engine", choices=("vllm", "transformers"), required=True)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--ratios", type=float, nargs="+", default=[1.0, 0.7, 0.5, 0.3])
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--slots", type=int, action="append", required=True)
    parser.add_argument("--pairs", type=int, default=3)
    add_json_option(parser)
    arguments = parser.parse_args()
    print(
        "| slots | wall apart | wall joined | CPU apart | CPU joined | CPU joined / apart | steps saved | different |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    results = []
    for slots in arguments.slots:
        calls = calls_of(arguments, slots)
        with tempfile.TemporaryDirectory(prefix="latent-joined-") as folder:
            measure(calls, Path(folder), joined=True)  # loads the model, and fills the grader's cache
            pairs = []
            for number in range(arguments.pairs):
                pairs.append([measure(calls, Path(folder), joined) for joined in (False, True)])
                one, two = pairs[-1]
                print(
                    f"pair {number + 1}: CPU {one.cpu:.2f} s apart, {two.cpu:.2f} s joined", file=sys.stderr, flush=True
                )
        close_engine()
        lengths = [[len(ids) for ids in condition] for condition in pairs[0][0].outputs]
        now = sum(steps(condition, slots) for condition in lengths)
        saved = 1 - steps([length for group in zip(*lengths, strict=True) for length in group], slots) / now
        apart, joined = ([pair[way] for pair in pairs] for way in (0, 1))
        seconds = [median(one) for way in (apart, joined) for one in ([m.wall for m in way], [m.cpu for m in way])]
        ratio = median(two.cpu / one.cpu for one, two in pairs)
        different = sum(
            one != two
            for pair in zip(pairs[0][0].outputs, pairs[0][1].outputs, strict=True)
            for one, two in zip(*pair, strict=True)
        )
        results.append(
            {
                "slots": slots,
                "wall_seconds": {"apart": seconds[0], "joined": seconds[2]},
                "cpu_seconds": {"apart": seconds[1], "joined": seconds[3]},
                "cpu_joined_over_apart": ratio,
                "steps_saved": saved,
                "different": different,
                "completions": sum(map(len, lengths)),
            }
        )
        save(arguments.json, results)
        print(
            f"| {slots} | {seconds[0]:.1f} s | {seconds[2]:.1f} s | {seconds[1]:.1f} s | {seconds[3]:.1f} s "
            f"| {ratio:.2f} | {saved:.0%} | {different} of {sum(map(len, lengths))} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
