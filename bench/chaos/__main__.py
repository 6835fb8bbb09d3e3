"""The chaos run: SIGKILL to workers, runs, process groups and the Prefect server until the main job is done.

    python -m bench.chaos [--kills 100] [--groups 15] [--runs 4] [--servers 4] [--seed 0] [--workers 2] [--keep FOLDER]

First the job runs undisturbed. Then it runs again in a store of its own, with kills at seeded moments, restarted until
it is done; rounds are added until there were enough kills. Prints the tally (stage, kind of kill) and what was wrong
afterwards; the exit status is 1 if anything was.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.chaos.kills import Kind, Tally
from bench.chaos.rounds import disturbed_round, undisturbed_run
from bench.chaos.victims import Victim, running_server
from bench.record import add_json_option, save

MAX_ROUNDS = 6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="at least this many in all")
    parser.add_argument("--groups", type=int, default=15, help="process groups among them")
    parser.add_argument("--runs", type=int, default=4, help="runs whose workers are left alive")
    parser.add_argument("--servers", type=int, default=4, help="Prefect servers among them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="work in this new folder and leave it; a temporary one without it")
    add_json_option(parser)
    options = parser.parse_args()
    tally = Tally()
    try:
        with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
            problems = list(_rounds(options, options.keep or Path(temporary), tally))
    finally:  # also of a run that was broken off
        print(f"\n{tally.table()}\n")
        print(f"restarts of the run: {tally.restarts}; server kills that the run outlived: {tally.server_survived}")
    print("\n".join(problems) if problems else "every promise held")
    kills = {kind.value: tally.of(kind) for kind in Kind}
    save(options.json, {"kills": kills, "restarts": tally.restarts, "problems": problems})
    return 1 if problems else 0


def _rounds(options: argparse.Namespace, root: Path, tally: Tally) -> Iterator[str]:
    """Run undisturbed, then rounds until there were enough kills; yields what was wrong."""
    root.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with running_server(root) as server:
        undisturbed = Victim(root / "undisturbed", server.environment, options.workers)
        durations = undisturbed_run(undisturbed)
        print(f"undisturbed: {len(durations)} artifacts in {time.monotonic() - started:.0f} s", flush=True)
        for number in range(1, MAX_ROUNDS + 1):
            rest = options.kills - tally.total
            if rest <= 0:
                break
            counts = {
                Kind.GROUP: max(0, options.groups - tally.of(Kind.GROUP)),
                Kind.RUN: max(0, options.runs - tally.of(Kind.RUN)),
                Kind.SERVER: max(0, options.servers - tally.of(Kind.SERVER)),
            }
            counts[Kind.WORKER] = max(rest - sum(counts.values()), 0)
            victim = Victim(root / f"round-{number}", server.environment, options.workers)
            rng = random.Random(f"{options.seed}/{number}")
            for problem in disturbed_round(victim, undisturbed, server, durations, counts, rng, tally):
                yield f"round {number}: {problem}"
            seconds = time.monotonic() - started
            print(f"round {number}: {tally.total} kills, {victim.starts} starts, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
