"""Stage `report`: all evaluations of a run as one HTML page, figures, and tables.

The page shows measured speeds: it alone is not byte for byte the same for equal work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from latent_core.compress.corpus import RatioDrift
from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, RUNTIME, StageConfig
from latent_core.config.tokenskip import Variant
from latent_core.config.training import LatentRows
from latent_core.evaluation.condition import Condition, by_role, role_of
from latent_core.report import Evaluation, Place, Provenance, build_entries, figures, render_report
from latent_core.report.disagreements import disagreements
from latent_core.report.exports import latex_tables, paired_csv, pdf_tables, results_csv
from latent_core.report.names import full_name
from latent_core.report.paired import MARGIN, build_paired
from latent_core.report.paired_tables import paired_markdown, paired_tables
from latent_core.report.plots import looks
from latent_core.report.runs import RanStage, loss_figure
from latent_core.report.table import markdown_table, results
from latent_core.report.training_plots import Figured, training_figures
from latent_core.store import Artifact, ArtifactRef, ArtifactWriter
from tasks.environment import code_version
from tasks.evaluations import evaluation_of
from tasks.findings import COLLECTED, CONTAMINATION, READ_CHAINS, chains_finding, finding
from tasks.inputs import Input
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import COMPRESSED

REPORT_HTML, TABLE_MARKDOWN = "report.html", "table.md"
RESULTS_CSV, PAIRED_CSV, PAIRED_MARKDOWN = "results.csv", "comparisons.csv", "comparisons.md"
TABLES_LATEX, TABLES_PDF = "tables.tex", "tables.pdf"
_POLICY = "grpo"  # the stage
_LIBRARIES = ("torch", "transformers", "trl", "peft", "llmlingua", "math-verify", "prefect", "mlflow")


class ReportConfig(StageConfig):
    """What the page is called and which caveats it must state."""

    title: Annotated[str, IDENTITY]
    latent_rows: Annotated[LatentRows, IDENTITY] = LatentRows.TRAINABLE
    reference: Annotated[str | None, IDENTITY, OMITTED_AT_DEFAULT] = None
    """The model with which those that were not trained on ratios are compared."""
    margin: Annotated[float, IDENTITY, OMITTED_AT_DEFAULT, Field(gt=0, lt=1)] = MARGIN
    """The loss of accuracy, as a share of the questions, that a claim of non-inferiority must exclude."""
    places: Annotated[tuple[Place, ...], RUNTIME] = ()
    """Where the run can be looked at further."""


class ReportInputs(NamedTuple):
    """Evaluations, and the other stages that the page lists, by the name that it gives them.

    Both in the order of the page.
    """

    evaluations: Mapping[Condition, ArtifactRef]
    stages: Mapping[str, ArtifactRef] = {}

    def roles(self) -> dict[str, Input]:
        return {**by_role(self.evaluations), **self.stages}


# 7: Student's interval and p-value of differences from ratio 1, in results.csv
@stage("report", version=7, shown=True)
def write_report(out: ArtifactWriter, inputs: ReportInputs, config: ReportConfig, workplace: Workplace) -> Outcome:
    evaluations = {condition: workplace.artifact(ref) for condition, ref in inputs.evaluations.items()}
    found = [evaluation_of(condition, artifact) for condition, artifact in evaluations.items()]
    entries = build_entries(found, reference=config.reference)
    stages = [(role_of(condition), artifact) for condition, artifact in evaluations.items()]
    stages += [(role, workplace.artifact(ref)) for role, ref in inputs.stages.items()]
    notes = _frozen_notes({condition.model for condition in evaluations}, config.latent_rows)
    notes += _following_notes(found)
    notes += [finding(artifact) for _, artifact in stages if artifact.ref.stage == CONTAMINATION]
    made_by = {artifact.ref.stage: artifact for _, artifact in stages}
    notes += [chains_finding(made_by[READ_CHAINS], made_by[COLLECTED])] if READ_CHAINS in made_by else []
    ran = [RanStage(role, one.ref.stage, one.manifest.content.metrics, one.manifest.record) for role, one in stages]
    paired = build_paired(found, margin=config.margin)
    shown = {"Results": results(entries)} | {title: table for title, _, table in paired_tables(paired)}
    losses = loss_figure(ran, {model: look.colour for model, look in looks(entries).items()})
    trainings = [figure for _, artifact in stages for figure in _training(artifact)]
    trainings += [] if losses is None else [losses]
    html = render_report(
        config.title,
        entries,
        notes=notes,
        compression=list(_compression(stages)),
        accounting=[{"stage": role, **artifact.manifest.content.accounting} for role, artifact in stages],
        provenance=Provenance(
            rows=[
                {
                    "stage": one.role,
                    "fingerprint": artifact.ref.fingerprint,
                    "version": str(artifact.manifest.content.stage_version),
                    "commit": one.commit,
                    "date, UTC": one.date or "not recorded",
                }
                for one, (_, artifact) in zip(ran, stages, strict=True)
            ],
            environment={"commit of this page": code_version()} | {name: version(name) for name in _LIBRARIES},
        ),
        more_figures=trainings,
        paired=paired,
        ran=ran,
        disagreeing=disagreements(found),
        places=config.places,
        files=(TABLE_MARKDOWN, RESULTS_CSV, PAIRED_CSV, PAIRED_MARKDOWN, TABLES_LATEX, TABLES_PDF),
    )
    texts = {
        REPORT_HTML: html,
        TABLE_MARKDOWN: markdown_table(shown["Results"]),
        RESULTS_CSV: results_csv(entries),
        PAIRED_CSV: paired_csv(paired),
        PAIRED_MARKDOWN: paired_markdown(entries, paired),
        TABLES_LATEX: latex_tables(shown),
    }
    drawn = figures(entries) | {one.name: one.svg for one in trainings}
    files = {name: text.encode() for name, text in texts.items()} | {TABLES_PDF: pdf_tables(shown)}
    files |= {f"figures/{name}.svg": svg for name, svg in drawn.items()}
    for name, content in files.items():
        with out.open(name) as file:
            file.write(content)
    return Outcome(accounting={"kept": len(entries)})


def _training(artifact: Artifact) -> list[Figured]:
    """Of a policy's training that was diagnosed."""
    found = artifact.manifest.content.metrics.get("steps") if artifact.ref.stage == _POLICY else None
    return training_figures(found) if found else []


def _frozen_notes(variants: set[str], latent_rows: LatentRows) -> list[str]:
    by_setting = [Variant.DUAL, Variant.DUAL_PHASE] if latent_rows is LatentRows.FROZEN else []
    frozen = variants & {Variant.DUAL_FROZEN, *by_setting}
    return [
        f"The latent rows of {variant} were frozen: its latent embeddings are still copies of the visible ones, so it "
        "can differ from the standard model only through the constraint's mask and its adapter."
        for variant in sorted(frozen)
    ]


def _following_notes(evaluations: Sequence[Evaluation]) -> list[str]:
    """Of every evaluation with swapped reasoning, how many answers are the other question's."""
    notes = []
    for item in evaluations:
        found = item.summary.follows_reasoning
        if found is not None and found.share is not None:
            low, high = 100 * found.share.low, 100 * found.share.high
            notes.append(
                f"{full_name(item.condition)}: {100 * found.share.value:.1f} % [{low:.1f}, {high:.1f}] of the answers "
                f"are those of the question whose reasoning was put there ({found.samples} answers; {found.alike} more "
                "where both questions have one answer)."
            )
    return notes


def _compression(stages: list[tuple[str, Artifact]]) -> Iterator[Mapping[str, Any]]:
    """Requested and achieved ratios over all texts that were compressed."""
    compressed = [artifact for role, artifact in stages if role == "compress"]
    for row in RatioDrift(row for one in compressed for row in COMPRESSED.rows(one, RatioDrift.COLUMNS)).rows():
        yield {
            "requested_ratio": row["ratio"],
            "achieved_ratio": row["achieved_ratio"],
            "drift": row["drift"],
            "answer_retention": row["answer_retention"],
            "texts": row["texts"],
        }
