"""What a finished check found, in sentences, for the report and for the terminal."""

from __future__ import annotations

from collections import Counter

from latent_core.store import Artifact, DamagedError

CONTAMINATION = "contamination"  # the check's stage, and its role in a report
COLLECTED = "collect"  # the merged samples that a run learns from
READ_CHAINS = "read_chains"  # what reads chains of thought of others
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
    if (training := content.parents.get("training")) is not None and training.ref is not None:
        return f"{text} Take them out of the chains of thought; their ids are in {artifact.ref}/{CONTAMINATED}."
    return f"{text} benchmark.drop_contaminated=true leaves them out; their ids are in {artifact.ref}/{CONTAMINATED}."


def chains_finding(read: Artifact, samples: Artifact) -> str:
    """What became of the rows of a table of chains of thought: `read` as such, and graded as `samples`."""
    counts, metrics = Counter(read.manifest.content.accounting), read.manifest.content.metrics
    graded = Counter(samples.manifest.content.accounting)
    left_out = counts + graded
    del left_out["kept"]
    text = (
        f"Chains of thought: {metrics['rows']:,} rows, {metrics['rows_without_chain']:,} of them without a usable one; "
        f"{graded['kept']:,} chains of {metrics['questions']:,} questions{_verdicts(samples)}."
    )
    return f"{text} Left out: {_counted(left_out)}." if left_out else text


def _verdicts(samples: Artifact) -> str:
    found: Counter[str] = Counter()
    try:
        for shard in samples.shards():
            found.update(shard.manifest.content.metrics["verdicts"])
    except DamagedError:  # a shard is gone, and what was made of it is not
        return ""
    return f" ({_counted(found)})"


def _counted(counts: Counter[str]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count:,}" for name, count in ordered)
