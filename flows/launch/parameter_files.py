"""A build step of `prefect deploy`: deployments take their parameters from the files of `latent run`.

Prefect calls it for every deployment, so that prefect.yaml only says which file is meant: `cfg: "{{ files.smoke }}"`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows.launch.parameters import read


def read_parameter_files(folder: str) -> dict[str, Any]:
    """What every parameter file in `folder` holds, by its name without `.yaml`; raises InputError for a bad one."""
    return {file.stem: read(file) for file in Path(folder).glob("*.yaml")}
