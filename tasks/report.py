"""Stage `report`: all evaluations of a run as one HTML page, figures, and tables.

The page shows measured speeds: it alone is not byte for byte the same for equal work.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Annotated, Any, NamedTuple

from latent_core.compress.corpus import merged_drift
from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, StageConfig
from latent_core.config.tokenskip import Variant
from latent_core.config.training import LatentRows
from latent_core.report import (
    Evaluation,
    Pace,
    Provenance,
    ReportEntry,
    build_entries,
    figures,
    render_report,
)
from latent_core.report.seeds import variant_of
from latent_core.report.table import markdown_table
from latent_core.store import Artifact, ArtifactRef, ArtifactWriter
from tasks.collect import SAMPLES
from tasks.contamination import check_contamination, finding
from tasks.environment import code_version
from tasks.inputs import Input
from tasks.stage import Outcome, Workplace, stage

REPORT_HTML, TABLE_MARKDOWN, EVALUATIONS = "report.html", "table.md", "evaluations.json"
_LIBRARIES = ("torch", "transformers", "trl", "peft", "llmlingua", "math-verify", "prefect", "mlflow")


class ReportConfig(StageConfig):
    """What the page is called and which caveats it must state."""

    title: Annotated[str, IDENTITY]
    latent_rows: Annotated[LatentRows, IDENTITY] = LatentRows.TRAINABLE
    reference: Annotated[str | None, IDENTITY, OMITTED_AT_DEFAULT] = None
    """The model with which those that hear no ratio are compared."""


UNTRAINED = "untrained"
TRAINED = "trained"  # the condition of a model that hears no ratio


def evaluation_role(model: str, condition: str) -> str:
    """The parent role under which an evaluation reaches the report, e.g. evaluation/dual/ratio 0.5."""
    return f"evaluation/{model}/{condition}"


def _evaluation(role: str, artifact: Artifact) -> Evaluation:
    _, model, condition = role.split("/")
    number = condition.rpartition(" ")[2]
    ratio = 1.0 if condition == UNTRAINED else float(number) if number[0].isdigit() else None
    return Evaluation(model, condition, ratio, lambda: artifact.rows_of(SAMPLES), _pace(artifact))


def _pace(artifact: Artifact) -> Pace | None:
    record = artifact.manifest.record
    if "tokens_per_second" not in record:
        return None
    return Pace(float(record["seconds"]), float(record["tokens_per_second"]))


def evaluation_refs(report: Artifact) -> dict[str, ArtifactRef]:
    """The evaluations of a finished report, by role."""
    return {role: ArtifactRef(*address) for role, address in json.loads(report.read_bytes(EVALUATIONS)).items()}


def entries_of(report: Artifact) -> list[ReportEntry]:
    """The rows of a finished report's results table, read again from its evaluations."""
    return build_entries(
        [_evaluation(role, report.store.require(ref)) for role, ref in evaluation_refs(report).items()],
        reference=report.manifest.content.identity.get("reference"),
    )


class ReportInputs(NamedTuple):
    """Evaluations, by `evaluation_role`, and the other stages that the page lists, by the name that it gives them.

    Both in the order of the page.
    """

    evaluations: Mapping[str, ArtifactRef]
    stages: Mapping[str, ArtifactRef] = {}

    def roles(self) -> dict[str, Input]:
        return {**self.evaluations, **self.stages}


@stage("report", version=3, shown=True)
def write_report(out: ArtifactWriter, inputs: ReportInputs, config: ReportConfig, workplace: Workplace) -> Outcome:
    evaluations = {role: workplace.artifact(ref) for role, ref in inputs.evaluations.items()}
    entries = build_entries(
        [_evaluation(role, found) for role, found in evaluations.items()], reference=config.reference
    )
    stages = [*evaluations.items(), *((role, workplace.artifact(ref)) for role, ref in inputs.stages.items())]
    notes = _frozen_notes({entry.model for entry in entries}, config.latent_rows)
    notes += [finding(artifact) for _, artifact in stages if artifact.ref.stage == check_contamination.name]
    html = render_report(
        config.title,
        entries,
        notes=notes,
        compression=list(_compression(stages)),
        accounting=[{"stage": role, **artifact.manifest.content.accounting} for role, artifact in stages],
        provenance=Provenance(
            rows=[
                {
                    "stage": role,
                    "fingerprint": artifact.ref.fingerprint,
                    "version": str(artifact.manifest.content.stage_version),
                    "commit": str(artifact.manifest.record["environment"].get("commit", "not recorded")),
                }
                for role, artifact in stages
            ],
            environment={"commit of this page": code_version()} | {name: version(name) for name in _LIBRARIES},
        ),
    )
    with out.open(REPORT_HTML) as page:
        page.write(html.encode())
    with out.open(TABLE_MARKDOWN) as table:
        table.write(markdown_table(entries).encode())
    with out.open(EVALUATIONS) as listing:
        addresses = {role: [ref.stage, ref.fingerprint] for role, ref in inputs.evaluations.items()}
        listing.write(json.dumps(addresses, indent=1).encode())
    for name, svg in figures(entries).items():
        with out.open(f"figures/{name}.svg") as figure:
            figure.write(svg)
    return Outcome(accounting={"kept": len(entries)})


def _frozen_notes(models: set[str], latent_rows: LatentRows) -> list[str]:
    variants = {variant_of(model) for model in models}
    frozen = variants & {Variant.DUAL_FROZEN, *([Variant.DUAL] if latent_rows is LatentRows.FROZEN else [])}
    return [
        f"The latent rows of {variant} were frozen: its latent embeddings are still copies of the visible ones, so it "
        "can differ from the standard model only through the constraint's mask and its adapter."
        for variant in sorted(frozen)
    ]


def _compression(stages: list[tuple[str, Artifact]]) -> Iterator[Mapping[str, Any]]:
    """Requested and achieved ratios over all shards of compression, weighted by their texts."""
    shards = [shard for role, artifact in stages if role == "compress" for shard in artifact.shards()]
    for row in merged_drift(shard.manifest.content.metrics["ratios"] for shard in shards):
        yield {
            "requested_ratio": row["ratio"],
            "achieved_ratio": row["achieved_ratio"],
            "drift": row["drift"],
            "answer_retention": row["answer_retention"],
            "texts": int(row["texts"]),
        }
