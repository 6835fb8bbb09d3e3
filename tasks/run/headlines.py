"""The accuracies behind a finished report, read from manifests alone: no table, no page."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import fmean

from latent_core.errors import InputError
from latent_core.evaluation.condition import Condition, Kind, condition_of
from latent_core.report.names import full_name
from latent_core.store import ArtifactRef, ArtifactStore, Manifest

_PLAY = "play/"  # what the roles of measured play begin with in a report of agents
_PLAIN = (Kind.RATIO, Kind.TRAINED, Kind.UNTRAINED)
_APART = (Kind.START, Kind.GRPO, Kind.AUTO, Kind.AUTO_START, Kind.AUTO_GRPO)  # never averaged with the ratio asked for


@dataclass(frozen=True)
class Result:
    """One number of a report: accuracy as a fraction with its 95 % interval, or an agent's mean return.

    `condition` is None for an agent. `tokens` are the mean per question, of everything that was generated.
    """

    name: str
    metric: str
    value: float
    low: float | None
    high: float | None
    tokens: float | None
    ref: ArtifactRef
    condition: Condition | None = None

    def words(self) -> str:
        """The number as people write it: 79.0 %, or a return."""
        return f"{100 * self.value:.1f} %" if self.metric == "accuracy" else f"{self.value:.3g}"


def results_behind(store: ArtifactStore, reports: Collection[ArtifactRef]) -> dict[ArtifactRef, list[Result]]:
    """What each report stands on, in the order of its roles; what the store does not have any more is left out."""
    wanted: dict[ArtifactRef, dict[str, ArtifactRef]] = {}
    for ref, manifest in store.read_manifests(set(reports)):
        if isinstance(manifest, Manifest):
            parents = manifest.content.parents
            wanted[ref] = {
                role: parent.ref
                for role, parent in parents.items()
                if parent.ref is not None and role.startswith(("evaluation/", _PLAY))
            }
    behind = {ref for roles in wanted.values() for ref in roles.values()}
    read = {ref: item for ref, item in store.read_manifests(behind) if isinstance(item, Manifest)}
    return {
        report: [
            result
            for role, ref in sorted(roles.items())
            if ref in read and (result := _result(role, read[ref])) is not None
        ]
        for report, roles in wanted.items()
    }


def _result(role: str, manifest: Manifest) -> Result | None:
    metrics = manifest.content.metrics
    is_play = role.startswith(_PLAY)
    metric = "return" if is_play else "accuracy"
    found = metrics.get(metric)
    if isinstance(found, int | float):
        found = {"value": found}
    if not isinstance(found, dict) or "value" not in found:
        return None
    tokens = metrics.get("tokens")
    condition = None if is_play else _condition(role)
    return Result(
        role.partition("/")[2] if condition is None else full_name(condition),
        metric,
        float(found["value"]),
        found.get("low"),
        found.get("high"),
        tokens.get("value") if isinstance(tokens, dict) else None,
        manifest.ref,
        condition,
    )


def _condition(role: str) -> Condition | None:
    try:
        return condition_of(role)
    except InputError:  # of a newer release, which is called what its role says
        return None


def headline(results: Sequence[Result]) -> str:
    """One line: for each model its accuracy at its largest and its smallest ratio, means over seeds.

    `base 93.0, dual 91.3 to 71.0, standard 90.0 to 66.3 %`. A model before and after reinforcement learning, or at a
    ratio of its own choice, stands by itself: `policy start 80.0, policy grpo 85.0`. Baselines by prompts and
    interventions are left out.
    """
    by_model: dict[str, dict[float, list[float]]] = {}
    for result in results:
        condition = result.condition
        if condition is None:
            by_model.setdefault(result.name, {}).setdefault(1.0, []).append(result.value)
        elif condition.kind in _PLAIN or condition.kind in _APART:
            ratio = 1.0 if condition.ratio is None else condition.ratio
            name = condition.model if condition.kind in _PLAIN else f"{condition.model} {condition.kind.value}"
            by_model.setdefault(name, {}).setdefault(ratio, []).append(result.value)
    if not by_model:
        return ""
    scale, unit = (100.0, " %") if all(result.metric == "accuracy" for result in results) else (1.0, "")
    parts = []
    for model, ratios in by_model.items():
        ends = [fmean(ratios[ratio]) * scale for ratio in sorted({max(ratios), min(ratios)}, reverse=True)]
        parts.append(f"{model} {' to '.join(f'{value:.1f}' if unit else f'{value:.3g}' for value in ends)}")
    return ", ".join(parts) + unit
