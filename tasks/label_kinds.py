"""Stage `compare_label_kinds`: what a compressor's labels are worth, in agreement, kept answers and trained models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from latent_core.compress.corpus import RatioDrift
from latent_core.compressor_training.agreement import Agreement
from latent_core.config.base import StageConfig
from latent_core.evaluation.condition import Condition, Kind, by_role
from latent_core.evaluation.summary import compare_scores
from latent_core.report.numbers import DASH, decimal, p_value, percent, points
from latent_core.store import Artifact, ArtifactRef, ArtifactWriter
from tasks.evaluations import scores_of, summary_of
from tasks.inputs import Input
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import COMPRESSED

COMPARISON = "comparison.md"
_SCORERS = {"model": "the trained compressor", "word_lookup": "word-frequency lookup", "random": "random"}


class CompareLabelKinds(StageConfig):
    """Nothing to set: what is compared follows from the parents."""


class CompareLabelKindsInputs(NamedTuple):
    """By name: compressors that were trained, what each compressor made, and evaluations of the models trained on that.

    The first of the compressions is what the others are compared with; one that needed no training (random) is among
    them.
    """

    compressors: Mapping[str, ArtifactRef]
    compressions: Mapping[str, ArtifactRef]
    evaluations: Mapping[Condition, ArtifactRef]

    def roles(self) -> dict[str, Input]:
        compressors = {f"compressor/{name}": ref for name, ref in self.compressors.items()}
        compressions = {f"compress/{name}": ref for name, ref in self.compressions.items()}
        return {**compressors, **compressions, **by_role(self.evaluations)}


@stage("compare_label_kinds", version=2, shown=True)
def compare_label_kinds(
    out: ArtifactWriter, inputs: CompareLabelKindsInputs, config: CompareLabelKinds, workplace: Workplace
) -> Outcome:
    trainings = {name: workplace.artifact(ref) for name, ref in inputs.compressors.items()}
    agreement = {name: training.manifest.content.metrics for name, training in trainings.items()}
    rows = [row for name in inputs.compressions for row in _by_ratio(inputs, workplace, name)]
    first = rows[0]["compressor"]
    with out.open(COMPARISON) as page:
        page.write((_agreement_table(agreement) + "\n" + _ratio_table(rows, first)).encode())
    return Outcome(
        accounting={"kept": len(rows)},
        metrics={
            "agreement": {
                name: {scorer: Agreement(*metrics[scorer])._asdict() for scorer in _SCORERS}
                for name, metrics in agreement.items()
            },
            "ratios": rows,
        },
    )


def _by_ratio(inputs: CompareLabelKindsInputs, workplace: Workplace, name: str) -> list[dict[str, Any]]:
    """One row a ratio: what the compressor did to the texts, and how the model trained on them does."""
    texts = COMPRESSED.rows(workplace.artifact(inputs.compressions[name]), RatioDrift.COLUMNS)
    drift = RatioDrift(texts).rows()
    compressions: dict[float, Mapping[str, Any]] = {1.0: {}} | {row["ratio"]: row for row in drift}
    first = next(iter(inputs.compressions))
    rows = []
    for ratio in sorted(compressions, reverse=True):
        evaluation = _evaluation(inputs, workplace, name, ratio)
        if evaluation is None and ratio == 1.0:
            continue
        row: dict[str, Any] = {"compressor": name, "ratio": ratio}
        row |= {key: compressions[ratio].get(key) for key in ("achieved_ratio", "answer_retention", "texts")}
        if evaluation is not None:
            summary = summary_of(evaluation)
            row |= {"accuracy": list(summary.accuracy), "tokens": summary.tokens.value, "questions": summary.questions}
            other = None if name == first else _evaluation(inputs, workplace, first, ratio)
            if other is not None:
                paired = compare_scores(scores_of(other), scores_of(evaluation))
                row |= {"difference": paired.accuracy.value, "p": paired.p_value}
        rows.append(row)
    return rows


def _evaluation(inputs: CompareLabelKindsInputs, workplace: Workplace, name: str, ratio: float) -> Artifact | None:
    ref = inputs.evaluations.get(Condition(name, Kind.RATIO, ratio))
    return None if ref is None else workplace.artifact(ref)


def _agreement_table(agreement: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [
        "Agreement with the labels of held-out words:",
        "",
        "| Labels | Scored by | Words | Accuracy | F1 | AUC |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, metrics in agreement.items():
        for scorer, title in _SCORERS.items():
            numbers = (f"{number:.3f}" for number in Agreement(*metrics[scorer]))
            lines.append(f"| {name} | {title} | {metrics['held_out_words']:,} | {' | '.join(numbers)} |")
    return "\n".join(lines) + "\n"


def _ratio_table(rows: list[dict[str, Any]], first: str) -> str:
    lines = [
        "The chains of thought that each compressor made, and the model trained on them:",
        "",
        f"| Compressor | Ratio | Achieved | Answer kept | Model's accuracy | 95 % | Tokens | Against {first} |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        cells = [row["compressor"], f"{row['ratio']:g}"]
        cells += [DASH if row["achieved_ratio"] is None else f"{row['achieved_ratio']:.2f}"]
        cells += [DASH if row["answer_retention"] is None else percent(row["answer_retention"])]
        if "accuracy" in row:
            value, low, high = row["accuracy"]
            cells += [percent(value), f"{percent(low, unit='')} to {percent(high, unit='')}", decimal(row["tokens"])]
        else:
            cells += [DASH] * 3
        cells += [f"{points(row['difference'])} ({p_value(row['p'])})" if "difference" in row else DASH]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
