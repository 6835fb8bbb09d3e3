"""Computing one stage call, and committing its artifact with a record of where it was computed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

from latent_core.store import Artifact, ArtifactRef, Reference, begin
from latent_core.store.lease import LeaseTerms, held
from tasks.environment import environment
from tasks.inputs import Input, ProblemsInput
from tasks.stage import StageCall, Workplace
from tasks.workers.deaths import end_process


def perform(call: StageCall, workplace: Workplace, terms: LeaseTerms | None = None) -> Artifact:
    """Compute a stage and commit its artifact.

    With terms of a lease: what another run committed in the meantime is returned as it is, HeldError is raised while
    another run is computing it, and a lease that is lost on the way ends this process.
    """
    if terms is None:
        return _compute(call, workplace, lambda: None)
    store = workplace.store
    with held(store, call.ref, terms, end_process) as confirm:
        return store.get(call.ref.stage, call.ref.fingerprint) or _compute(call, workplace, confirm)


def _compute(call: StageCall, workplace: Workplace, confirm: Callable[[], None]) -> Artifact:
    with begin(workplace.store, call.ref) as out:
        outcome = call.stage.body(out, call.inputs, call.config, workplace)
        confirm()
        artifact = out.commit(
            stage_version=call.stage.version,
            config=call.config,
            parents=references_of(call),
            accounting=outcome.accounting,
            metrics=outcome.metrics,
            record=dict(outcome.record) | record_of(call),
        )
    shutil.rmtree(workplace.scratch, ignore_errors=True)
    return artifact


def references_of(call: StageCall) -> dict[str, Reference]:
    """The inputs of a call by role, as its manifest names them."""
    return {role: _reference(parent) for role, parent in call.parents.items()}


def _reference(parent: Input) -> Reference:
    return Reference(parent.stage if isinstance(parent, ArtifactRef) else None, parent.fingerprint)


def record_of(call: StageCall) -> dict[str, Any]:
    """What computed it, with which parameters (the runtime ones too), on which benchmarks."""
    problems = {role: parent for role, parent in call.parents.items() if isinstance(parent, ProblemsInput)}
    return {
        "environment": environment(),
        "process": os.getpid(),
        "parameters": call.config.model_dump(mode="json"),
        "benchmarks": {role: parent.config.model_dump(mode="json") for role, parent in problems.items()},
    }
