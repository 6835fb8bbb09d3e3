"""With leases, of several runs that need the same result one computes it; the others wait, and take over if it dies."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from latent_core.store import ArtifactStore
from latent_core.store.lease import HeldError, LeaseTerms, wait_for_lease
from tasks.stage import StageCall

logger = logging.getLogger("latent")


def compute_or_wait(
    call: StageCall,
    store: ArtifactStore,
    seconds: float,
    compute: Callable[[LeaseTerms], object],
    over: threading.Event,
) -> bool:
    """Whether this run computed the call, and not another while this one waited.

    `compute` tries with the terms of a lease, and raises HeldError at once where another run holds it; the waiting is
    done here, so that it takes no worker. Raises StageFailed when `over` is set meanwhile.
    """
    terms = LeaseTerms(seconds)
    while True:
        try:
            compute(terms)
            return True
        except HeldError as other:
            logger.info("%s: waiting, %s is computing it", call.title, other.holder)
            expired = wait_for_lease(
                store,
                other,
                seconds,
                arrived=lambda: store.get(call.ref.stage, call.ref.fingerprint) is not None,
                pause=over.wait,
            )
            if expired is None:
                return False
            logger.warning("%s: %s gave up or died; taking over", call.title, other.holder)
            terms = LeaseTerms(seconds, expired)
