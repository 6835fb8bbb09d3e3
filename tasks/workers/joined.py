"""Stage calls that a worker computes together, over joined passes of one engine; each commits on its own.

What a companion commits is in the store when its own task comes; what it does not commit, for whatever reason, its own
task computes. So an error here is only ever the call's own, and a worker's death costs only what was not committed yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from latent_core.generate.joined import JoinedPasses
from latent_core.store import Artifact
from latent_core.store.lease import LeaseTerms
from tasks.stage import StageCall, Workplace
from tasks.workers.compute import perform
from tasks.workers.engines import joined


def perform_with(
    call: StageCall,
    companions: Sequence[StageCall],
    workplace: Callable[[StageCall], Workplace],
    terms: LeaseTerms | None = None,
) -> Artifact:
    """Compute a call and its companions; returns the call's artifact, or raises what `perform` does for it.

    The calls must share model, sampling and questions. With terms, each holds a lease of its own. The engine is used
    by the calling thread.
    """
    if not companions:
        return perform(call, workplace(call), terms)
    calls = (call, *companions)
    passes = JoinedPasses(len(calls))
    fresh = None if terms is None else LeaseTerms(terms.seconds)

    def compute(number: int) -> Artifact:
        with joined(passes, number):
            mine = calls[number]
            return perform(mine, workplace(mine), fresh if number else terms)

    with ThreadPoolExecutor(len(calls), thread_name_prefix="joint") as threads:
        computed = [threads.submit(compute, number) for number in range(len(calls))]
        passes.generate()
    return computed[0].result()
