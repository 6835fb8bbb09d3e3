"""Whether a model was trained at the ratios it is evaluated at; at others it can only guess what is meant."""

from __future__ import annotations

from collections.abc import Iterable

from latent_core.config.prepare import PrepareConfig, RatioLabel
from latent_core.models.source import EMBEDDED
from latent_core.store import Artifact, ArtifactStore
from tasks.inputs import Model, ModelInput
from tasks.run.protocol import Run

Ratios = frozenset[float]
PLAIN: Ratios = frozenset({1.0})  # a prompt at ratio 1 names none
# Names of stages; importing all of these would load torch for every plan.
TRAIN, GRPO = "train", "grpo"


def prepared_ratios(prepare: PrepareConfig) -> Ratios | None:
    """The ratios that examples name; None where each names what its own text achieved."""
    return frozenset(prepare.ratios) | PLAIN if prepare.ratio_label is RatioLabel.REQUESTED else None


def trained_ratios(model: Model, store: ArtifactStore) -> Ratios | None:
    """The ratios that a finished model was trained at, at any time; None where nothing here knows."""
    if isinstance(model, ModelInput):
        return PLAIN if model.spec in (*EMBEDDED, "smollm2") else None
    artifact = store.get(model.stage, model.fingerprint)
    return None if artifact is None else _trained_ratios(artifact)


def warn_of_untrained(run: Run, ratios: Iterable[float], known: Ratios | None, who: str) -> None:
    """Warn, in one line, of those `ratios` at which `who` was never trained."""
    if known is None:
        return
    others = sorted(set(ratios) - known - PLAIN, reverse=True)
    if not others:
        return
    run.warn(
        f"evaluate.ratios: {_listed(others)} {'was' if len(others) == 1 else 'were'} never trained "
        f"({who}: trained at {_listed(sorted(known, reverse=True))}), so the model can only guess what is meant"
    )


def _trained_ratios(artifact: Artifact) -> Ratios | None:
    earlier = _parent(artifact, "model")
    before = PLAIN if earlier is None else _trained_ratios(earlier)
    if artifact.ref.stage == TRAIN:
        prepared = _parent(artifact, "prepared")
        return None if prepared is None or before is None else _joined(prepared, before)
    if artifact.ref.stage == GRPO:
        return None if before is None else before | frozenset(map(float, artifact.manifest.content.identity["ratios"]))
    return before


def _joined(prepared: Artifact, before: Ratios) -> Ratios | None:
    identity = prepared.manifest.content.identity
    if identity.get("ratio_label", RatioLabel.REQUESTED) != RatioLabel.REQUESTED:
        return None
    return before | frozenset(map(float, identity.get("ratios", ())))


def _parent(artifact: Artifact, role: str) -> Artifact | None:
    """The stored artifact that another was made from in this role."""
    parent = artifact.manifest.content.parents.get(role)
    ref = None if parent is None else parent.ref
    return None if ref is None else artifact.store.get(ref.stage, ref.fingerprint)


def _listed(ratios: Iterable[float]) -> str:
    return ", ".join(f"{ratio:g}" for ratio in ratios)
