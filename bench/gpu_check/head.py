"""Loss and gradients at the output head of a Qwen3-4B with a dual vocabulary, full softmax against phase-exact."""

from __future__ import annotations

from bench.gpu_check.findings import Findings
from bench.gpu_check.place import Place
from bench.phase_memory import WAYS, Shape, cost_of


def check(place: Place, findings: Findings) -> None:
    """Hidden size 2560, 303,872 ids, 4,096 positions: bytes beyond weights and hidden states, and seconds."""
    shape = Shape(2_000, 64, 256, place.device) if place.tiny else Shape(303_872, 2_560, 4_096, place.device)
    costs = {}
    for way in WAYS:
        costs[way] = cost = cost_of(way, shape)
        findings.note(
            f"{way} loss", f"{cost.bytes / 1e9:.2f} GB, {cost.seconds:.3f} s, {cost.loss:.4f} nats a token",
            **cost._asdict(),
        )  # fmt: skip
    memory = costs["phase"].bytes / max(costs["full"].bytes, 1)
    seconds = costs["phase"].seconds / max(costs["full"].seconds, 1e-9)
    findings.expect(
        costs["phase"].loss < costs["full"].loss and (memory < 0.5 or place.tiny),  # fewer ids share the probability
        "phase / full", f"memory {memory:.3f}, time {seconds:.2f}", memory=memory, seconds=seconds,
        shape=shape._asdict(),
    )  # fmt: skip
