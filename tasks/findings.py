"""What a finished check found, in sentences, for the report and for the terminal."""

from __future__ import annotations

from latent_core.store import Artifact

CONTAMINATION = "contamination"  # the check's stage, and its role in a report
CONTAMINATED = "contamination.json"  # {"equal": [question ids], "overlapping": [question ids]}


def finding(artifact: Artifact) -> str:
    """What a finished check found, in sentences."""
    content = artifact.manifest.content
    counts, metrics = content.accounting, content.metrics
    equal, overlapping = counts["equal_to_training"], counts["overlap_training"]
    text = (
        f"Contamination: of {metrics['tested']:,} test questions, {equal:,} are also among the {metrics['training']:,} "
        f"training questions, and {overlapping:,} more share 13 words in a row with one."
    )
    if not equal + overlapping:
        return text
    if metrics["procedural"]:
        return (
            f"{text} Questions made from templates share sentences by design; only equal ones are to be worried about."
        )
    return f"{text} benchmark.drop_contaminated=true leaves them out; their ids are in {artifact.ref}/{CONTAMINATED}."
