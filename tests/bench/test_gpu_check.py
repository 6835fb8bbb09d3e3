"""The benchmarks of the phase-exact loss measure that loss, and the check for GPUs runs through."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from bench import gpu_check
from bench.phase_memory import Shape, batch_of, loss_of


def test_ways_measure_the_full_and_the_masked_loss_of_the_same_batch() -> None:
    batch = batch_of(Shape(120, 16, 40, "cpu"))
    with torch.no_grad():
        logits = batch.hidden @ batch.weight.t()
        allowed = torch.from_numpy(batch.machine.allowed.copy())[batch.phases]
        for way, scores in (("full", logits), ("phase", logits.masked_fill(~allowed, -torch.inf))):
            expected = torch.nn.functional.cross_entropy(scores[0], batch.ids[0])
            assert float(loss_of(way, batch)) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.slow
def test_check_runs_through_on_a_cpu_and_records_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "found.json"
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", "--device", "cpu", "--tiny", "--json", str(out)])
    gpu_check.main()
    found = json.loads(out.read_text())["results"]
    assert found["problems"] == [] and found["sampling"]["forbidden"] == 0 < found["sampling"]["tokens"]
