"""Stage calls that a worker computes together, over joined passes of one engine; each commits on its own.

A call brings its companions along as a favour: what of them gets committed is in the store, and what does not, for
whatever reason, its own task computes. So an error here is only ever the call's own, and a worker's death costs only
what was not committed yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from latent_core.generate.joined import JoinedPasses
from latent_core.store import Artifact
from latent_core.store.lease import LeaseTerms
from tasks.stage import StageCall, Workplace
from tasks.workers.compute import perform
from tasks.workers.engines import seated


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

    def take_part(number: int) -> Artifact:
        with seated(passes, number):
            mine = calls[number]
            return perform(mine, workplace(mine), fresh if number else terms)

    with ThreadPoolExecutor(len(calls), thread_name_prefix="joint") as threads:
        parties = [threads.submit(take_part, number) for number in range(len(calls))]
        passes.conduct()
    return parties[0].result()
