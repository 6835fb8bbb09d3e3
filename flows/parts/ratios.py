"""Whether a model was trained at the ratios it is evaluated at; at others it can only guess what is meant."""

from __future__ import annotations

from collections.abc import Iterable

from latent_core.config.tokenskip import PrepareConfig, RatioLabel
from latent_core.models.source import EMBEDDED
from latent_core.store import Artifact, ArtifactRef, ArtifactStore
from tasks.run.protocol import Input, Run
from tasks.stage import ModelInput

Ratios = frozenset[float]
PLAIN: Ratios = frozenset({1.0})  # a prompt at ratio 1 names none
# Names of stages; importing all of these would load torch for every plan.
TRAIN, GRPO, BUILD_DUAL = "train", "grpo", "build_dual"
PREPARED_BY = ("prepare", "prepare_warm_start", "prepare_direct", "prepare_selected")


def taught(prepare: PrepareConfig) -> Ratios | None:
    """The ratios that examples name; None where each names what its own text achieved."""
    return frozenset(prepare.ratios) | PLAIN if prepare.ratio_label is RatioLabel.REQUESTED else None


def taught_to(model: Input, store: ArtifactStore) -> Ratios | None:
    """The ratios that a finished model was trained at, at any time; None where nothing here knows."""
    if isinstance(model, ModelInput):
        return PLAIN if model.spec in (*EMBEDDED, "smollm2") else None
    artifact = store.get(model.stage, model.fingerprint) if isinstance(model, ArtifactRef) else None
    return None if artifact is None else _taught_to(artifact)


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


def _taught_to(artifact: Artifact) -> Ratios | None:
    content, store = artifact.manifest.content, artifact.store
    earlier = _first(store, (TRAIN, GRPO, BUILD_DUAL), content.parents.get("model"))
    before = PLAIN if earlier is None else _taught_to(earlier)
    if artifact.ref.stage == TRAIN:
        prepared = _first(store, PREPARED_BY, content.parents.get("prepared"))
        return None if prepared is None or before is None else _joined(prepared, before)
    if artifact.ref.stage == GRPO:
        return None if before is None else before | frozenset(map(float, content.identity["ratios"]))
    return before


def _joined(prepared: Artifact, before: Ratios) -> Ratios | None:
    identity = prepared.manifest.content.identity
    if identity.get("ratio_label", RatioLabel.REQUESTED) != RatioLabel.REQUESTED:
        return None
    return before | frozenset(map(float, identity.get("ratios", ())))


def _first(store: ArtifactStore, stages: Iterable[str], fingerprint: str | None) -> Artifact | None:
    """The artifact of one of `stages` with this fingerprint; a manifest names parents without their stages."""
    if fingerprint is None:
        return None
    return next((found for stage in stages if (found := store.get(stage, fingerprint)) is not None), None)


def _listed(ratios: Iterable[float]) -> str:
    return ", ".join(f"{ratio:g}" for ratio in ratios)
