"""What a trained model was evaluated for where it was made: the oldest of its evaluations in the store."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from pydantic import ValidationError

from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.reevaluate import Evaluated
from latent_core.config.tokenskip import EvaluateConfig, Prompting
from latent_core.identity import canonical_json
from latent_core.store import ArtifactRef, ArtifactStore, Manifest
from tasks.evaluate import EVALUATE, EvaluateCondition


class FirstEvaluation(NamedTuple):
    """What it was for, and one of its artifacts."""

    evaluated: Evaluated
    ref: ArtifactRef


def first_evaluation(store: ArtifactStore, model: ArtifactRef) -> FirstEvaluation | None:
    """How the model was evaluated first, at which ratios; None where the store has no evaluation that says so.

    Evaluations of the same problems in the same way, but for the ratio, are one. Sealed manifests alone are read.
    """
    together: defaultdict[str, list[tuple[float, Manifest, EvaluateCondition]]] = defaultdict(list)
    for _, manifest in store.committed(EVALUATE.name):
        if not isinstance(manifest, Manifest) or manifest.content.parents.get("model") != model.fingerprint:
            continue
        condition = _condition(manifest)
        if condition is None or condition.prompting is not Prompting.RATIO:
            continue
        way = {name: value for name, value in manifest.content.identity.items() if name != "ratio"}
        key = canonical_json([manifest.content.parents["problems"], way])
        together[key].append((float(manifest.record["started"]), manifest, condition))
    if not together:
        return None
    first = min(together.values(), key=lambda group: min(started for started, *_ in group))
    _, manifest, condition = min(first, key=lambda item: item[0])
    evaluate = EvaluateConfig(
        sampling=condition.sampling,
        questions=condition.questions,
        ratios=tuple(sorted({condition.ratio for *_, condition in first}, reverse=True)),
        metrics=condition.metrics,
    )
    benchmark = BenchmarkConfig.model_validate(manifest.record["benchmarks"]["problems"])
    return FirstEvaluation(Evaluated(benchmark, evaluate, condition.text_format), manifest.ref)


def _condition(manifest: Manifest) -> EvaluateCondition | None:
    """The parameters that the evaluation ran with; None where it is older than their record, or than a field."""
    try:
        BenchmarkConfig.model_validate(manifest.record["benchmarks"]["problems"])
        return EvaluateCondition.model_validate(manifest.record["parameters"])
    except (KeyError, TypeError, ValidationError):
        return None
