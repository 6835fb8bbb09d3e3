"""How Prefect's pages say where a report is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.parts.publish import how_to_open, publish
from latent_core.identity import fingerprint
from latent_core.store import ArtifactRef, begin
from tasks.report import TABLE_MARKDOWN
from tests.support.lab import Lab


def test_report_on_a_disk_comes_with_the_command_that_opens_it(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    report = lab.store.require(lab.report(1e-3, 30))
    said = how_to_open(report, "0190-af")
    assert said.endswith(f"on the machine that has the store: `latent open 0190-af --store {lab.store.root}`")
    assert f"`latent open {report.ref} --store" in how_to_open(report)


@pytest.mark.parametrize(
    ("link", "said"), [("http://mlflow.lab/#/runs/1", "run 1, [open it](http://mlflow.lab/#/runs/1)"), (None, "run 1")]
)
def test_results_in_prefect_link_to_the_run_in_mlflow_where_a_server_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: str | None, said: str
) -> None:
    lab = Lab(tmp_path)
    config = {"title": "A run"}
    with begin(lab.store, ArtifactRef("report", fingerprint("report", 1, config, {}))) as out:
        with out.open(TABLE_MARKDOWN) as table:
            table.write(b"| Model |")
        report = out.commit(config=config)
    published: dict[str, str] = {}
    monkeypatch.setattr(
        "prefect.artifacts.create_markdown_artifact", lambda *, key, markdown, **_: published.update({key: markdown})
    )
    monkeypatch.setattr(
        "prefect.artifacts.create_link_artifact", lambda *, key, link, **_: published.update({key: link})
    )
    run: Any = SimpleNamespace(
        name="toy", artifact=lambda ref: report, tracked=lambda: "run 1", tracking_url=lambda: link
    )
    publish(run, report.ref)
    assert published["toy-results"].endswith(f"MLflow: {said}\n")
    assert published.get("toy-mlflow") == link
