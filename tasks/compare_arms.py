"""Stage `compare_arms`: arms over seeds, measured and compared with their controls, as a page, tables and numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, StageConfig
from latent_core.evaluation.arm_comparisons import Pair
from latent_core.evaluation.arms import Point, read_arm
from latent_core.evaluation.condition import BASE, Condition, Kind, by_role, role_of
from latent_core.evaluation.summary import Summary
from latent_core.report import Provenance
from latent_core.report.comparison import Family, Intervened, Trained, build_comparison
from latent_core.report.comparison_page import render_comparison
from latent_core.report.comparison_plots import comparison_figures
from latent_core.report.comparison_tables import markdown, tables
from latent_core.report.names import condition_name
from latent_core.store import Artifact, ArtifactRef, ArtifactWriter
from tasks.environment import code_version
from tasks.evaluations import scores_of, summary_of
from tasks.findings import CONTAMINATION, finding
from tasks.inputs import Input
from tasks.stage import Outcome, Workplace, stage

REPORT_HTML, TABLE_MARKDOWN, RESULTS = "report.html", "table.md", "results.json"
_COMPRESSION = (
    *("ratio", "texts", "achieved_ratio", "recoverability", "scored"),
    *("number_retention", "answer_retention", "broken_equations"),
)
_LIBRARIES = ("torch", "transformers", "trl", "peft", "numpy")


class ComparisonFamily(StageConfig):
    """Pairs of arm and control whose p-values are corrected together."""

    title: Annotated[str, IDENTITY]
    question: Annotated[str, IDENTITY] = ""
    """What the family answers, for readers."""
    pairs: Annotated[tuple[Pair, ...], IDENTITY, Field(min_length=1)]
    lengths: Annotated[bool, IDENTITY, OMITTED_AT_DEFAULT] = False
    """Compare, too, how well the arms keep the lengths they are asked for; all of them are among `starts`."""


class CompareArms(StageConfig):
    """Who is compared with whom, and when two accuracies count as equivalent."""

    title: Annotated[str, IDENTITY]
    families: Annotated[tuple[ComparisonFamily, ...], IDENTITY] = ()
    margin: Annotated[float, IDENTITY, Field(gt=0, lt=1)] = 0.03
    """As a fraction of the questions."""
    resamples: Annotated[int, IDENTITY, Field(ge=1000)] = 10_000
    starts: Annotated[tuple[Pair, ...], IDENTITY, OMITTED_AT_DEFAULT] = ()
    """Arms whose lengths are measured by the model they started from, each with that model, which is an arm too."""
    trained_ratios: Annotated[tuple[float, ...], IDENTITY, OMITTED_AT_DEFAULT] = ()
    """With `starts`: what models were trained at; accuracy at others is compared with that at those around them."""


class CompareArmsInputs(NamedTuple):
    """Evaluations of every arm, seed and ratio and of the untrained model; trainings by the model's name with its seed;
    compressions by the arm that is trained on them; what was measured of them, by the first such arm; the check for
    contamination."""

    evaluations: Mapping[Condition, ArtifactRef]
    trainings: Mapping[str, ArtifactRef]
    compressions: Mapping[str, ArtifactRef]
    measures: Mapping[str, ArtifactRef]
    contamination: ArtifactRef

    def roles(self) -> dict[str, Input]:
        trainings = {f"train/{name}": ref for name, ref in self.trainings.items()}
        compressions = {f"compress/{name}": ref for name, ref in self.compressions.items()}
        measures = {f"measure/{name}": ref for name, ref in self.measures.items()}
        return {
            **by_role(self.evaluations),
            **trainings,
            **compressions,
            **measures,
            CONTAMINATION: self.contamination,
        }


@stage("compare_arms", version=3, shown=True)
def compare_arms(out: ArtifactWriter, inputs: CompareArmsInputs, config: CompareArms, workplace: Workplace) -> Outcome:
    evaluations = {condition: workplace.artifact(ref) for condition, ref in inputs.evaluations.items()}
    comparison = build_comparison(
        config.title,
        list(_trained(evaluations, inputs, workplace)),
        _baselines(evaluations),
        [Family(family.title, family.pairs, family.question, family.lengths) for family in config.families],
        intervened=list(_intervened(evaluations)),
        compressions=list(_compressions(inputs, workplace)),
        starts=config.starts,
        trained_ratios=frozenset(config.trained_ratios),
        margin=config.margin,
        resamples=config.resamples,
    )
    shown, figures = tables(comparison), comparison_figures(comparison)
    behind = {role_of(condition): artifact for condition, artifact in evaluations.items()}
    behind |= {f"train/{name}": workplace.artifact(ref) for name, ref in inputs.trainings.items()}
    behind |= {f"compress/{name}": workplace.artifact(ref) for name, ref in inputs.compressions.items()}
    behind |= {f"measure/{name}": workplace.artifact(ref) for name, ref in inputs.measures.items()}
    checked = behind[CONTAMINATION] = workplace.artifact(inputs.contamination)
    provenance = Provenance(
        rows=[{"stage": role, "fingerprint": artifact.ref.fingerprint} for role, artifact in behind.items()],
        environment={"commit of this page": code_version()} | {name: version(name) for name in _LIBRARIES},
    )
    page = render_comparison(comparison, shown, figures, notes=[finding(checked)], provenance=provenance)
    results = comparison.to_json() | {
        "config": config.model_dump(mode="json"),
        "fingerprints": {role: f"{artifact.ref.stage}/{artifact.ref.fingerprint}" for role, artifact in behind.items()},
    }
    texts = {REPORT_HTML: page, TABLE_MARKDOWN: markdown(config.title, shown)}
    texts[RESULTS] = json.dumps(results, indent=1, ensure_ascii=False)
    for name, text in texts.items():
        with out.open(name) as file:
            file.write(text.encode())
    for name, svg in figures.items():
        with out.open(f"figures/{name}.svg") as file:
            file.write(svg)
    return Outcome(accounting={"kept": len(evaluations)}, metrics={"arms": len(comparison.arms)})


def _trained(
    evaluations: Mapping[Condition, Artifact], inputs: CompareArmsInputs, workplace: Workplace
) -> Iterator[Trained]:
    """Every arm, questions in the order of the first evaluation."""
    ids = None
    for (name, kind), found in _by_arm(evaluations).items():
        if kind is Kind.RATIO:
            arm = read_arm(name, {point: scores_of(artifact) for point, artifact in found.items()}, ids)
            ids = arm.question_ids
            yield Trained(arm, _learning(name, inputs, workplace), _levels(found))


def _intervened(evaluations: Mapping[Condition, Artifact]) -> Iterator[Intervened]:
    """Every arm under every intervention; questions are put in the arm's own order where the two are compared."""
    for (name, kind), found in _by_arm(evaluations).items():
        if kind.intervenes:
            scores = {point: scores_of(artifact) for point, artifact in found.items()}
            follows: dict[float, list[float]] = {}
            for (_, ratio), artifact in found.items():
                following = summary_of(artifact).follows_reasoning
                if following is not None and following.share is not None:
                    follows.setdefault(ratio, []).append(following.share.value)
            yield Intervened(name, kind.value, scores, follows, is_own=kind is Kind.OWN_REASONING)


def _by_arm(evaluations: Mapping[Condition, Artifact]) -> dict[tuple[str, Kind], dict[Point, Artifact]]:
    """The evaluations of trained models by arm and kind, each by seed and ratio, in the order of
    seeds and falling ratios."""
    found: dict[tuple[str, Kind], dict[Point, Artifact]] = {}
    for condition, artifact in evaluations.items():
        if condition.seed is not None and condition.ratio is not None:
            found.setdefault((condition.model, condition.kind), {})[condition.seed, condition.ratio] = artifact
    return {arm: dict(sorted(points.items(), key=_place)) for arm, points in found.items()}


def _place(item: tuple[Point, Artifact]) -> tuple[int, float]:
    (seed, ratio), _ = item
    return seed, -ratio


def _levels(evaluations: Mapping[Point, Artifact]) -> dict[float, dict[str, list[float]]]:
    """Accuracies of every seed, in the order of evaluations, by ratio and level."""
    levels: dict[float, dict[str, list[float]]] = {}
    for (_, ratio), artifact in evaluations.items():
        found = levels.setdefault(ratio, {})
        for level, accuracy in summary_of(artifact).levels.items():
            found.setdefault(level, []).append(accuracy.accuracy)
    return levels


def _learning(name: str, inputs: CompareArmsInputs, workplace: Workplace) -> int | None:
    """How many parameters an arm's training moved; the same for every seed."""
    for model, ref in inputs.trainings.items():
        if model.rpartition("-seed")[0] == name:
            count = workplace.artifact(ref).manifest.content.metrics.get("trainable_parameters")
            return None if count is None else int(count)
    return None


def _baselines(evaluations: Mapping[Condition, Artifact]) -> dict[str, Summary]:
    return {
        BASE if condition.kind is Kind.UNTRAINED else condition_name(condition): summary_of(artifact)
        for condition, artifact in evaluations.items()
        if condition.seed is None
    }


def _compressions(inputs: CompareArmsInputs, workplace: Workplace) -> Iterator[dict[str, Any]]:
    """What every compressor did to the texts, ratio by ratio; arms with the same texts are one."""
    for name, ref in inputs.measures.items():
        for row in workplace.artifact(ref).manifest.content.metrics["by_ratio"]:
            yield {"compressor": name} | {key: row[key] for key in _COMPRESSION}
