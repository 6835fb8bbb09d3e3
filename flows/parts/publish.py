"""What a finished run shows: the results table, the way to the report, and the links; in Prefect and on a terminal."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from flows.parts.places import shown_uri
from latent_core.config.runtime import TrackingConfig
from latent_core.errors import InfrastructureError
from latent_core.store import Artifact, ArtifactRef
from tasks.findings import COLLECTED, CONTAMINATION, READ_CHAINS, chains_finding, finding
from tasks.report import PAIRED_MARKDOWN, REPORT_HTML, TABLE_MARKDOWN
from tasks.run.execution import Execution
from tasks.train import train

logger = logging.getLogger("latent")


def publish(run: Execution, report: ArtifactRef) -> dict[str, str]:
    """Wait for the report, publish it in Prefect's Artifacts tab, and return where it lies."""
    from prefect.artifacts import create_link_artifact, create_markdown_artifact
    from prefect.runtime import flow_run

    artifact = run.artifact(report)
    found = "".join(f"{line}\n\n" for line in findings(artifact))
    page = page_of(artifact)
    table = artifact.read_bytes(TABLE_MARKDOWN).decode()
    claims = artifact.read_bytes(PAIRED_MARKDOWN).decode() if PAIRED_MARKDOWN in _files(artifact) else ""
    tracked, link = run.tracked(), run.tracking_url()
    where = f"MLflow: {tracked}" if link is None else f"MLflow: {tracked}, [open it]({link})"
    create_markdown_artifact(
        key=f"{run.name}-results",
        markdown="\n".join([table, claims, f"{found}{how_to_open(artifact, flow_run.id)}\n", f"{where}\n"]),
        description="Results per condition",
    )
    if link is not None:
        create_link_artifact(key=f"{run.name}-mlflow", link=link, link_text="MLflow run", description="Tracked run")
    return {"report": page, "fingerprint": artifact.ref.fingerprint}


_CHECKED = (READ_CHAINS, COLLECTED, CONTAMINATION)  # the stages that a run has something to say of
WIDTH_IN_FILES = 165  # columns when the output is no terminal: room for the whole table


def findings(report: Artifact) -> list[str]:
    """What the checks behind a report found, in sentences; those that the store still has."""
    parents = {parent.stage: parent for parent in report.manifest.content.parents.values()}
    found = {stage: report.store.get(stage, parents[stage].fingerprint) for stage in _CHECKED if stage in parents}
    read, samples, check = (found.get(stage) for stage in _CHECKED)
    lines = [] if read is None or samples is None else [chains_finding(read, samples)]
    return lines if check is None else [*lines, finding(check)]


def _files(report: Artifact) -> set[str]:
    return {file.path for file in report.manifest.content.files}


def page_of(report: Artifact) -> str:
    """Path or URL of a report's HTML page."""
    return f"{report.store.root.rstrip('/')}/{report.key(REPORT_HTML)}"


def how_to_open(report: Artifact, flow_run_id: str | None = None) -> str:
    """For pages of a browser, which opens no files of another machine: a link where the page is served, else a way.

    Of a flow run the command also says how its MLflow pages are opened.
    """
    page = page_of(report)
    if page.startswith(("http://", "https://")):
        return f"Report: [{page}]({page})"
    where = "" if "://" in page else " on the machine that has the store"
    what = flow_run_id or str(report.ref)
    command = f"latent open {what} --store {shlex.quote(report.store.root)}"
    return f"Report: `{page}`. To open it, and to see how MLflow is opened{where}: `{command}`"


def trained_models(report: Artifact) -> dict[str, ArtifactRef]:
    """The trained models behind a finished report, by variant."""
    return {
        role.removeprefix("train/"): ArtifactRef(train.name, parent.fingerprint)
        for role, parent in report.manifest.content.parents.items()
        if role.startswith("train/")
    }


def show(report: Artifact) -> None:
    """Print a finished run's table, and where to look further."""
    from rich.console import Console

    from latent_core.report.table import read_markdown, rich_table

    console = Console() if sys.stdout.isatty() else Console(width=WIDTH_IN_FILES)
    table = read_markdown(report.read_bytes(TABLE_MARKDOWN).decode())
    console.print(rich_table(table, width=console.width, title=report.manifest.content.identity["title"]))
    for line in findings(report):
        console.print(line, soft_wrap=True, highlight=False)
    page = page_of(report)
    console.print(f"Report:  {page}", soft_wrap=True)


def show_where_to_look(tracking: TrackingConfig, gaps: Sequence[str] = ()) -> None:
    """Print how the pages of MLflow and Prefect are opened, and what MLflow lacks of the run (`gaps_told`)."""
    from tasks.tracking.client import tracking_uri
    from tasks.tracking.moved import embedded_database, put_right

    database = embedded_database(tracking_uri(tracking))
    if tracking.enabled and database is not None:
        try:
            put_right(database)  # MLflow's own server, which is named below, would look in the old place
        except InfrastructureError as error:
            logger.warning(error)
    uri = shown_uri(tracking)
    if tracking.enabled and uri.startswith("http"):
        typer.echo(f"MLflow:  {uri}")
    elif tracking.enabled:
        typer.echo(f"MLflow:  {_program('mlflow')} server --backend-store-uri {shlex.quote(uri)}")
    for gap in gaps:
        typer.echo(f"         {gap}")
    typer.echo(f"Prefect: {_program('prefect')} server start")


def _program(name: str) -> str:
    """How a program of this environment is called from here."""
    path, here = Path(sys.executable).with_name(name), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def show_card(card: Artifact) -> None:
    """Print the finished model's card, and where the model lies."""
    typer.echo((card.directory("model") / "README.md").read_text(encoding="utf-8"))
    typer.echo(f"Model: {card.directory('model')}")
