"""What a finished stage's line says: rows, the number that the stage is run for, and seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latent_core.store import Artifact
from tasks.progress.durations import duration
from tasks.progress.left import StageTime


def headline(metrics: Mapping[str, Any]) -> str:
    """What a result comes to, `accuracy 78.7 %` or `loss 0.176`; empty where a stage has no such number.

    Of played episodes it is their return and how many keep the format, without which nothing can be learned.
    """
    match metrics:
        case {"accuracy": {"value": float() | int() as accuracy}}:
            return f"accuracy {100 * accuracy:.1f} %"
        case {"return": {"value": float() | int() as mean}, "format_rate": float() | int() as right}:
            return f"return {mean:.2f}, {100 * right:.0f} % in the right format"
        case {"best_eval_loss": float() | int() as loss}:
            return f"loss {loss:.3f}"
        case _:
            return ""


def result_line(title: str, artifact: Artifact, seconds: float) -> str:
    """`evaluate standard 0.5: 300 rows, accuracy 78.7 %, 16 s`."""
    rows = f"{artifact.rows:,} rows" if artifact.rows else ""
    return f"{title}: " + ", ".join(
        filter(None, (rows, headline(artifact.manifest.content.metrics), duration(seconds)))
    )


def stage_line(name: str, stage: StageTime) -> str:
    """`collect_shard: 30 of 30, 14,000 rows, 3 min 2 s`, of a stage whose results have no number of their own."""
    rows = [f"{stage.rows:,} rows"] if stage.rows else []
    return f"{name}: " + ", ".join([f"{stage.calls:,} of {stage.calls:,}", *rows, duration(stage.spans.seconds)])
