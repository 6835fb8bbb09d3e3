"""The lengths that length rewards name their targets by."""

from __future__ import annotations

from latent_core.config.grpo import GrpoConfig
from latent_core.store import ArtifactRef
from tasks.inputs import Model, ProblemsInput
from tasks.reference_lengths import ReferenceLengthsInputs, measure_reference_lengths
from tasks.run.protocol import Run


def measured_lengths(
    settings: GrpoConfig, run: Run, start: Model, problems: ProblemsInput, label: str = ""
) -> ArtifactRef | None:
    """How long the start model reasons on the training questions; None where no length term needs it."""
    if not settings.length.is_on:
        return None
    config = settings.references
    rows = config.questions * config.sampling.samples
    inputs = ReferenceLengthsInputs(start, problems)
    return run.stage(measure_reference_lengths, config, inputs, label=label, rows=rows)
