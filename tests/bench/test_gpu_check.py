"""The check for GPUs: a failed, crashed or endless check becomes a row, and the whole runs through on a CPU."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from bench.gpu_check.checks import CHECKS, Check
from bench.gpu_check.findings import FAILED, OK, SKIPPED, WRONG, Findings, Row
from bench.gpu_check.place import Place
from bench.gpu_check.runner import run
from bench.gpu_check.sampling import agreement
from bench.phase_memory import Shape, batch_of, loss_of

ROOT = Path(__file__).parents[2]


def test_ways_measure_the_full_and_the_masked_loss_of_the_same_batch() -> None:
    batch = batch_of(Shape(120, 16, 40, "cpu"))
    with torch.no_grad():
        logits = batch.hidden @ batch.weight.t()
        allowed = torch.from_numpy(batch.machine.allowed.copy())[batch.phases]
        for way, scores in (("full", logits), ("phase", logits.masked_fill(~allowed, -torch.inf))):
            expected = torch.nn.functional.cross_entropy(scores[0], batch.ids[0])
            assert float(loss_of(way, batch)) == pytest.approx(float(expected), abs=1e-5)


def _says_and_raises(place: Place, findings: Findings) -> None:
    findings.note("first", "said before it failed", number=place.number)
    findings.expect(False, "second", "not as it should be")
    raise RuntimeError("a line\nand another")


def _crashes(place: Place, findings: Findings) -> None:
    findings.note("first", "said before it died")
    print("printed before it died", flush=True)
    os._exit(9)


def _needs_another_library(place: Place, findings: Findings) -> None:
    import a_library_that_nobody_has.part  # type: ignore[import-not-found]  # noqa: F401


def _needs_a_module_of_ours(place: Place, findings: Findings) -> None:
    import latent_core.nothing  # type: ignore[import-not-found]  # noqa: F401


def _never_ends(place: Place, findings: Findings) -> None:
    findings.note("first", f"CUDA_VISIBLE_DEVICES {os.environ.get('CUDA_VISIBLE_DEVICES')!r}")
    time.sleep(600)


def _ran(function: object, tmp_path: Path, *, limit: float = 60.0, processes: int = 1) -> tuple[list[Row], list[str]]:
    check = Check("one", function, 1.0, processes)  # type: ignore[arg-type]
    told: list[Row] = []
    context = multiprocessing.get_context("forkserver")
    outcome = run(check, Place("cpu", True, tmp_path), context, limit, told.append)
    assert told == outcome.rows
    return outcome.rows, outcome.tracebacks


def test_check_that_raises_keeps_its_rows_and_becomes_one_with_its_traceback(tmp_path: Path) -> None:
    rows, tracebacks = _ran(_says_and_raises, tmp_path)
    assert [row.status for row in rows] == [OK, WRONG, FAILED]
    assert rows[2].found == "failed: RuntimeError: a line"
    assert "_says_and_raises" in tracebacks[0] and "and another" in tracebacks[0]


def test_check_whose_process_dies_keeps_its_rows_and_becomes_one(tmp_path: Path) -> None:
    rows, tracebacks = _ran(_crashes, tmp_path)
    assert [(row.status, row.found) for row in rows] == [
        (OK, "said before it died"),
        (FAILED, "failed: its process died with exit code 9"),
    ]
    assert "its process died with exit code 9" in tracebacks[0] and "printed before it died" in tracebacks[0]


def test_check_that_needs_an_absent_library_is_skipped_but_not_one_that_needs_a_module_of_ours(tmp_path: Path) -> None:
    rows, _ = _ran(_needs_another_library, tmp_path)
    assert [(row.status, row.found) for row in rows] == [(SKIPPED, "a_library_that_nobody_has is not installed")]
    rows, _ = _ran(_needs_a_module_of_ours, tmp_path)
    assert [row.status for row in rows] == [FAILED]


def test_check_without_an_end_is_stopped_at_its_limit_in_every_process(tmp_path: Path) -> None:
    rows, _ = _ran(_never_ends, tmp_path, limit=20.0, processes=2)
    assert [row.found for row in rows if row.status == OK] == ["CUDA_VISIBLE_DEVICES ''"] * 2
    assert [(row.what, row.found) for row in rows if row.status == FAILED] == [
        ("one, process 0", "failed: no end within 20 s"),
        ("one, process 1", "failed: no end within 20 s"),
    ]


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [([1, 2, 3, 4], [1, 2, 9, 4], 0.5), ([1, 2], [1, 2], 1.0), ([1, 2], [1, 2, 3, 4], 0.5), ([], [], 0.0)],
)
def test_agreement_is_the_share_of_tokens_before_the_first_that_differs(
    one: list[int], other: list[int], share: float
) -> None:
    assert agreement(one, other) == share


def test_unknown_check_is_refused_with_the_known_ones() -> None:
    done = _checked("--only", "sampling,heads")
    assert done.returncode == 2
    assert "no check is called 'heads'; choose from choices, reference," in done.stderr


def test_check_of_the_head_alone_writes_its_rows_and_the_machine(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    done = _checked("--only", "head", "--json", str(out))
    assert done.returncode == 0, done.stderr
    written = json.loads(out.read_text())
    assert [row["what"] for row in written["results"]["rows"]] == ["full loss", "phase loss", "phase / full"]
    assert written["results"]["checks"]["head"]["tracebacks"] == [] and "torch" in written["measured"]["versions"]


@pytest.mark.slow
def test_all_checks_run_through_on_a_cpu_and_find_nothing_wrong(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    done = _checked("--patience", "10", "--seconds", "3000", "--json", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())["results"]
    assert list(found["checks"]) == [check.name for check in CHECKS]
    assert {row["status"] for row in found["rows"]} <= {"ok", "skipped"}
    forbidden = [row for row in found["rows"] if row["what"] == "forbidden tokens"]
    assert forbidden[0]["numbers"]["forbidden"] == 0 < forbidden[0]["numbers"]["tokens"]


def _checked(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.gpu_check", "--device", "cpu", "--tiny", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3000, check=False)
