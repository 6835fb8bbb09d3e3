"""What a trained model was evaluated for where it was made: the oldest of its evaluations in the store."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

from pydantic import ValidationError

from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.evaluate import EvaluateConfig
from latent_core.config.prompting import Prompting
from latent_core.config.ratio_form import AUTO
from latent_core.config.reevaluate import Evaluated
from latent_core.identity import canonical_json
from latent_core.store import ArtifactRef, ArtifactStore, Manifest
from tasks.evaluate import EvaluateCondition, evaluate
from tasks.tracking.journal import journals


class FirstEvaluation(NamedTuple):
    """What it was for, and one of its artifacts."""

    evaluated: Evaluated
    ref: ArtifactRef


def first_evaluation(store: ArtifactStore, model: ArtifactRef) -> FirstEvaluation | None:
    """How the model was evaluated first, at which ratios; None where the store has no evaluation that says so.

    Evaluations of the same problems in the same way, but for the ratio, are one. What they ran with is read from their
    sealed manifests, the benchmark of older ones from the journal of their run.
    """
    together: defaultdict[str, list[_Found]] = defaultdict(list)
    for _, manifest in store.committed(evaluate.name):
        if isinstance(manifest, Manifest) and _model_of(manifest) == model.fingerprint:
            found = _found(manifest)
            if found is not None and found.condition.prompting is Prompting.RATIO:
                way = {name: value for name, value in manifest.content.identity.items() if name != "ratio"}
                together[canonical_json([manifest.content.parents["problems"].fingerprint, way])].append(found)
    for group in sorted(together.values(), key=lambda group: min(found.started for found in group)):
        first = min(group, key=lambda found: found.started)
        benchmark = _benchmark(store, first.manifest)
        if benchmark is not None:
            asked = {found.condition.ratio for found in group}
            ratios = sorted((float(ratio) for ratio in asked if ratio != AUTO), reverse=True)
            condition = first.condition
            settings = EvaluateConfig(
                sampling=condition.sampling,
                questions=condition.questions,
                ratios=tuple(ratios) or (1.0,),
                auto_ratio=AUTO in asked,
                metrics=condition.metrics,
            )
            return FirstEvaluation(Evaluated(benchmark, settings, condition.text_format), first.manifest.ref)
    return None


def _model_of(manifest: Manifest) -> str | None:
    parents = manifest.content.parents
    return parents["model"].fingerprint if "model" in parents else None


class _Found(NamedTuple):
    started: float
    manifest: Manifest
    condition: EvaluateCondition


def _found(manifest: Manifest) -> _Found | None:
    """The evaluation with what it asked; None where that has a field that this release does not know."""
    asked = manifest.record.get("parameters", manifest.content.identity)  # older ones recorded what is identity alone
    try:
        return _Found(float(manifest.record["started"]), manifest, EvaluateCondition.model_validate(asked))
    except ValidationError:
        return None


def _benchmark(store: ArtifactStore, manifest: Manifest) -> BenchmarkConfig | None:
    try:
        recorded = manifest.record.get("benchmarks", {}).get("problems")
        return BenchmarkConfig.model_validate(recorded or _journalled(store, manifest))
    except ValidationError:
        return None


def _journalled(store: ArtifactStore, manifest: Manifest) -> Any:
    """The benchmark of the oldest run that had this evaluation; None without one."""
    for journal in journals(store):
        if any((entry.stage, entry.fingerprint) == _address(manifest) for entry in journal.stages):
            return journal.config.get("benchmark")
    return None


def _address(manifest: Manifest) -> tuple[str, str]:
    return manifest.ref.stage, manifest.ref.fingerprint
