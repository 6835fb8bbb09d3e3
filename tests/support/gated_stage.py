"""A stage that says that it runs and then waits at a gate, so that tests can do things to it in the middle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import pyarrow as pa

from latent_core.config.base import RUNTIME, StageConfig
from latent_core.store import ArtifactWriter
from tasks.stage import Outcome, Workplace, stage
from tests.support.toy_stages import ToyInputs


class Gate(StageConfig):
    """A folder with two named pipes: `arrivals`, to which a computation writes its pid, and `go`, which it reads."""

    folder: Annotated[str, RUNTIME]


@stage("gated", version=1)
def gated(out: ArtifactWriter, inputs: ToyInputs, config: Gate, workplace: Workplace) -> Outcome:
    with out.table("who.parquet", pa.schema([("pid", pa.int64())])) as table:
        table.add({"pid": os.getpid()})
    Path(config.folder, "arrivals").write_text(f"{os.getpid()}\n")
    Path(config.folder, "go").read_text()
    return Outcome()
