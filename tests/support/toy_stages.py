"""Stages small enough to run in a second, for the tests of the machinery around them. They log each execution."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Annotated, NamedTuple

import pyarrow as pa

from latent_core.config.base import IDENTITY, RUNTIME, StageConfig
from latent_core.config.runtime import RuntimeConfig, TrackingConfig
from latent_core.errors import InfrastructureError, InputError
from latent_core.store import ArtifactRef, ArtifactWriter
from tasks.inputs import Input, numbered
from tasks.stage import Outcome, Workplace, stage

SCHEMA = pa.schema([("number", pa.int64())])


class Numbers(StageConfig):
    """How many numbers, and what goes wrong on the way."""

    count: Annotated[int, IDENTITY]
    log: Annotated[str, RUNTIME]
    trouble: Annotated[str, RUNTIME] = ""


class ToyConfig(StageConfig):
    """The sections every flow has."""

    store: Annotated[str, RUNTIME]
    runtime: Annotated[RuntimeConfig, RUNTIME]
    tracking: Annotated[TrackingConfig, RUNTIME] = TrackingConfig(enabled=False)


class ToyInputs(NamedTuple):
    """At most one input."""

    first: ArtifactRef | None = None


class SumInputs(NamedTuple):
    """Numbers to add up."""

    shards: tuple[ArtifactRef, ...]

    def roles(self) -> dict[str, Input]:
        return numbered("shard", self.shards)


class CopyInputs(NamedTuple):
    """Numbers to copy."""

    numbers: ArtifactRef


def _logged(log: str, word: str) -> int:
    """Append a word to the log; returns how often it stands there now."""
    path = Path(log)
    with path.open("a") as handle:
        handle.write(f"{word}\n")
    return path.read_text().split().count(word)


@stage("numbers", version=1)
def count_up(out: ArtifactWriter, inputs: ToyInputs, config: Numbers, workplace: Workplace) -> Outcome:
    attempt = _logged(config.log, f"numbers{config.count}")
    with out.table("numbers.parquet", SCHEMA) as table:
        table.extend({"number": number} for number in range(config.count))
        if config.trouble == "killed_once" and attempt == 1:
            print("about to die", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        if config.trouble == "flaky" and attempt == 1:
            raise InfrastructureError("numbers: the network blinked")
        if config.trouble == "waits":  # until somebody lets it go
            while not Path(f"{config.log}.go").exists():
                time.sleep(0.05)
        if config.trouble == "bad_input":
            raise InputError("count: is not to my liking; choose another")
    workplace.progress(config.count, config.count, 0)
    return Outcome(accounting={"kept": config.count}, metrics={"tokens": config.count})


@stage("sum", version=1)
def add_up(out: ArtifactWriter, inputs: SumInputs, config: Numbers, workplace: Workplace) -> Outcome:
    _logged(config.log, "sum")
    total = sum(row["number"] for ref in inputs.shards for row in workplace.artifact(ref).rows_of("numbers.parquet"))
    with out.table("sum.parquet", SCHEMA) as table:
        table.add({"number": total})
    return Outcome(accounting={"kept": 1}, metrics={"sum": total})


@stage("draw", version=1)
def draw(out: ArtifactWriter, inputs: ToyInputs, config: Numbers, workplace: Workplace) -> Outcome:
    """A number that is another each time, as an engine draws."""
    with out.table("numbers.parquet", SCHEMA) as table:
        table.add({"number": 1000 * _logged(config.log, "draw")})
    return Outcome(accounting={"kept": 1})


@stage("copy", version=1)
def copy(out: ArtifactWriter, inputs: CopyInputs, config: Numbers, workplace: Workplace) -> Outcome:
    _logged(config.log, f"copy{config.count}")
    with out.table("numbers.parquet", SCHEMA) as table:
        table.extend(workplace.artifact(inputs.numbers).rows_of("numbers.parquet"))
    return Outcome(accounting={"kept": 1})
