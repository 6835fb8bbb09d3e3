"""Two workers at once: they share a card if there is one, and a worker that wants more than there are is refused."""

from __future__ import annotations

import os
import time
from statistics import mean

from bench.gpu_check.findings import Findings
from bench.gpu_check.place import REFERENCE, Place, completed, dual_folder, problems_of, read
from bench.gpu_check.sampling import LEAST_AGREEMENT, agreement

WORKERS = 2


def environment(number: int) -> dict[str, str]:
    """What a worker's environment gets, as the pool sets it before the worker imports anything."""
    from tasks.workers.devices import VARIABLE, devices_of, visible_devices

    devices = devices_of(number, 1, visible_devices())
    return {} if devices is None else {VARIABLE: devices}


def check(place: Place, findings: Findings) -> None:
    """Each worker completes all problems in float32 with an engine of its own, while the other does."""
    from latent_core.config.sampling import SamplingConfig
    from latent_core.errors import InputError
    from tasks.workers import engines
    from tasks.workers.devices import VARIABLE, devices_of, visible_devices

    folder, expected = dual_folder(place), read(place, REFERENCE, "reference")
    devices = visible_devices()
    if place.number == 0 and devices:
        try:
            devices_of(0, len(devices) + 1, devices)
        except InputError as error:
            findings.note("more devices than there are", f"refused: {error}")
        else:
            findings.expect(False, "more devices than there are", "a worker was given them")
    rows = expected["rows"]
    sampling = SamplingConfig(max_new_tokens=expected["tokens"], dtype="float32")
    engine = engines.warm_engine(engines.Served(folder), "dual", sampling)
    started = time.time()
    found = completed(folder, engine, problems_of(len(rows)), sampling)
    ended = time.time()
    shares = [
        agreement(list(one["output_token_ids"]), row["output_token_ids"]) for one, row in zip(found, rows, strict=True)
    ]
    tokens = sum(row["tokens"] for row in found)
    findings.expect(
        mean(shares) >= LEAST_AGREEMENT["float32"], f"worker {place.number}, devices {os.environ.get(VARIABLE, 'all')}",
        f"{mean(shares):.1%} of greedy tokens as the CPU's, {tokens / (ended - started):,.0f} tokens/s at once",
        agreement=mean(shares), started=started, ended=ended, tokens=tokens,
    )  # fmt: skip
    engines.close_engine()
