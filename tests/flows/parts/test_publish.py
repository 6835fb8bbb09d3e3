"""How Prefect's pages say where a report is."""

from __future__ import annotations

from pathlib import Path

from flows.parts.publish import how_to_open
from tests.support.lab import Lab


def test_report_on_a_disk_comes_with_the_command_that_opens_it(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    report = lab.store.require(lab.report(1e-3, 30))
    said = how_to_open(report, "0190-af")
    assert said.endswith(f"on the machine that has the store: `latent open 0190-af --store {lab.store.root}`")
    assert f"`latent open {report.ref} --store" in how_to_open(report)
