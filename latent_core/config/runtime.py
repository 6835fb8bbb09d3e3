"""How and where a run computes: nothing here changes a result."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import Field, field_validator

from latent_core.addresses import holds_password
from latent_core.config.base import RUNTIME, StageConfig

MODEL_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
"""Names in the model registry that need no quotes anywhere."""


class Runner(StrEnum):
    """Where workers live."""

    PROCESSES = "processes"  # of this machine
    RAY = "ray"  # actors on a Ray cluster
    DASK = "dask"  # the workers of a Dask cluster


class LeasePolicy(StrEnum):
    """What a run does with a stage that another run is computing."""

    OFF = "off"  # computes it too; the first result stands
    WAIT = "wait"  # waits for it


class InputCheck(StrEnum):
    """How closely a stored input is looked at before a stage computes with it."""

    HASHES = "hashes"  # every byte, once a run
    SIZES = "sizes"


class RuntimeConfig(StageConfig):
    """Workers and their limits."""

    runner: Annotated[Runner, RUNTIME] = Runner.PROCESSES
    """processes of this machine, or ray or dask: on a cluster, with a store that all its machines reach."""
    ray_address: Annotated[str, RUNTIME] = "auto"
    """Address of the Ray cluster; auto is the one this machine belongs to."""
    dask_address: Annotated[str, RUNTIME] = "tcp://127.0.0.1:8786"
    """Address of the Dask scheduler."""
    workers: Annotated[int, RUNTIME, Field(ge=1, le=256)] = 1
    """Worker processes; each keeps its model warm. On GPUs one per device."""
    threads_per_worker: Annotated[int, RUNTIME, Field(ge=1)] = 2
    """CPU threads of one worker."""
    devices_per_worker: Annotated[int, RUNTIME, Field(ge=1)] = 1
    """GPUs of one worker; more than one for a model that vLLM splits (sampling.vllm.tensor_parallel_size)."""
    work_dir: Annotated[str, RUNTIME] = ".latent/work"
    """Local folder for training checkpoints and worker logs."""
    retries: Annotated[int, RUNTIME, Field(ge=0, le=20)] = 2
    """How often a stage is tried again after an infrastructure error (never after bad input)."""
    retry_seconds: Annotated[float, RUNTIME, Field(ge=0)] = 5.0
    """Pause before a retry; each later one is twice as long, with jitter."""
    lease: Annotated[LeasePolicy, RUNTIME] = LeasePolicy.OFF
    """wait: of several runs that need the same result one computes it and the others wait; off: each computes."""
    lease_seconds: Annotated[float, RUNTIME, Field(gt=0)] = 60.0
    """How long whoever computes may give no sign of life before another run takes over."""
    check_inputs: Annotated[InputCheck, RUNTIME] = InputCheck.HASHES
    """What is compared of a stored input before a stage computes with it: hashes (reads every byte), or sizes."""

    @field_validator("lease", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: object) -> object:
        return LeasePolicy.OFF if value is False else value  # YAML reads an unquoted off as a truth value


class TrackingConfig(StageConfig):
    """Where runs are tracked; tracking never stops the work."""

    enabled: Annotated[bool, RUNTIME] = True
    uri: Annotated[str | None, RUNTIME] = None
    """MLflow tracking URI without a password; unset means MLFLOW_TRACKING_URI, or sqlite:///.latent/mlflow.db."""
    experiment: Annotated[str, RUNTIME] = "latent-reasoning"
    system_metrics: Annotated[bool, RUNTIME] = False
    """Measure the machine that the run was started on (processors, memory, disk, network, GPUs) while it lasts."""

    @field_validator("uri")
    @classmethod
    def _has_no_password_and_lasts(cls, uri: str | None) -> str | None:
        if uri is not None and holds_password(uri):  # parameters are shown and recorded in many places
            raise ValueError("leave it unset and put the address with its password into MLFLOW_TRACKING_URI")
        if uri in ("sqlite://", "sqlite:///:memory:"):
            raise ValueError(f"{uri} is gone when the run ends; name a file, sqlite:///PATH, or set enabled to false")
        return uri


class TrainingTrackingConfig(TrackingConfig):
    """Where the runs of flows that train models are tracked, and which of them register what they trained."""

    register_as: Annotated[str | None, RUNTIME] = None
    """Make the trained models versions of this name in MLflow's model registry; unset, the run registers none. No run
    makes a champion: see `latent track champion`."""

    @field_validator("register_as")
    @classmethod
    def _is_a_name(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(MODEL_NAME, name):
            raise ValueError("is a name of letters, digits, dots, dashes and underscores, such as tokenskip-math")
        return name
