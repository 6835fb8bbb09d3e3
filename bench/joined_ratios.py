"""What one pass over all ratios would save: decoding steps of finished evaluations, one after the other and joined.

    python -m bench.joined_ratios .latent/store evaluate/1a2b3c evaluate/4d5e6f ... --slots 32 --slots 128

A model's conditions are evaluated one after the other on a warm engine, which is started once a worker. What is lost is
the end of each condition, when fewer sequences are left than the engine has slots. The lengths of the stored outputs
say how much: a continuously batching engine is played through, a step a token, a slot filled as soon as it is free.
The seconds of a step are not measured here; it costs less in a batch that is not full, so the share of steps saved is
the most that joining could save in time.
"""

from __future__ import annotations

import argparse
import heapq
from collections.abc import Sequence

from latent_core.generate.completions import COMPLETIONS_PER_CALL
from latent_core.store import ArtifactStore
from tasks.collect import SAMPLES


def steps(lengths: Sequence[int], slots: int) -> int:
    """Decoding steps until the last of `lengths` tokens is written, at most `slots` sequences at a time."""
    ends: list[int] = []
    for length in lengths:
        start = heapq.heappop(ends) if len(ends) == slots else 0
        heapq.heappush(ends, start + length)
    return max(ends)


def one_after_the_other(conditions: Sequence[Sequence[int]], slots: int, block: int) -> int:
    """As `graded_completions` does it: every `block` questions are waited for."""
    return sum(
        steps(lengths[start : start + block], slots)
        for lengths in conditions
        for start in range(0, len(lengths), block)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("evaluations", nargs="+", help="evaluate/FINGERPRINT of one model's conditions")
    parser.add_argument("--slots", type=int, action="append", required=True)
    parser.add_argument("--scale", type=float, action="append", default=[], help="also the first one's lengths, times")
    arguments = parser.parse_args()
    store = ArtifactStore(arguments.store)
    conditions = [
        [int(row["tokens"]) for row in store.require(store.find(address)).rows_of(SAMPLES, ("tokens",))]
        for address in arguments.evaluations
    ]
    conditions += [[max(1, round(length * scale)) for length in conditions[0]] for scale in arguments.scale]
    tokens = sum(sum(lengths) for lengths in conditions)
    print("| slots | in calls of 256 | as it is | joined | saved by joining | filled now | filled joined |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for slots in arguments.slots:
        blocks = one_after_the_other(conditions, slots, 256)
        now = one_after_the_other(conditions, slots, COMPLETIONS_PER_CALL)
        joined = steps([length for lengths in conditions for length in lengths], slots)
        fill = [f"{tokens / (slots * count):.0%}" for count in (now, joined)]
        print(f"| {slots} | {blocks} | {now} | {joined} | {1 - joined / now:.0%} | {fill[0]} | {fill[1]} |")


if __name__ == "__main__":
    main()
