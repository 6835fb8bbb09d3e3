"""The ratios of models: how they are told, and whether one was trained at those it is evaluated at."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from latent_core.config.prepare import PrepareConfig, RatioLabel
from latent_core.config.ratio_form import RatioForm, RatioTokensConfig
from latent_core.errors import InputError
from latent_core.models.ratio_tokens import FILE_NAME, RatioTokens, listed, wanted_ratios
from latent_core.models.source import EMBEDDED
from latent_core.store import Artifact, ArtifactStore
from tasks.inputs import Model, ModelInput
from tasks.ratio_tokens import RatioTokensInputs, build_ratio_tokens
from tasks.run.protocol import Run

Ratios = frozenset[float]
PLAIN: Ratios = frozenset({1.0})  # a prompt at ratio 1 names none
# Names of stages; importing all of these would load torch for every plan.
TRAIN, GRPO = "train", "grpo"


def prepared_ratios(prepare: PrepareConfig) -> Ratios | None:
    """The ratios that examples name; None where each names what its own text achieved."""
    return None if prepare.ratio_label is RatioLabel.ACHIEVED else frozenset(prepare.labels) | PLAIN


def ratio_tokens_of(model: Model, store: ArtifactStore) -> RatioTokens | None:
    """The ratio tokens of a model that is there; None where it is told ratios by the suffix, or is not there yet."""
    if isinstance(model, ModelInput):
        adapter = model.adapter()
        return RatioTokens.find(model.open() if adapter is None else adapter.base.directory)
    artifact = store.get(model.stage, model.fingerprint)
    files = [] if artifact is None else [item.path for item in artifact.manifest.content.files]
    path = next((path for path in files if Path(path).name == FILE_NAME), None)
    if artifact is None or path is None:
        return None
    return RatioTokens.from_json(json.loads(artifact.read_bytes(path)), f"{artifact.ref}: {path}")


def check_asked(tokens: RatioTokens | None, field: str, ratios: Iterable[float], auto_ratio: bool = False) -> None:
    """Raise InputError, naming the field, where a model with these tokens cannot be asked for one of the ratios."""
    if auto_ratio and (tokens is None or not tokens.echoes):
        raise InputError("evaluate.auto_ratio: needs a model that names its ratio (ratio_form: echo); leave it out")
    if tokens is None:
        return
    known = {f"{ratio:g}" for ratio in tokens.ratios}
    missing = [ratio for ratio in sorted(ratios, reverse=True) if f"{ratio:g}" not in known]
    if missing:
        raise InputError(f"{field}: {listed(missing)} has no token in this model; it has {listed(tokens.ratios)}")


def with_ratio_tokens(form: RatioForm, labels: Iterable[float], run: Run, model: Model, name: str) -> Model:
    """The model, with a token for each of the `labels` where the form has tokens; one that has them stays as it is.

    Raises InputError where `name`, the model of the run, has tokens and the form is another, or a label has none.
    """
    own = ratio_tokens_of(model, run.store)
    if own is not None:
        if own.form is not form:
            raise InputError(f"ratio_form: is {form.value}, but {name} was made for {own.form.value}; set that")
        check_asked(own, "prepare.ratios", labels)
        return model
    if form is RatioForm.SUFFIX:
        return model
    return run.stage(
        build_ratio_tokens, RatioTokensConfig(form=form, ratios=wanted_ratios(labels)), RatioTokensInputs(model)
    )


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
    label = identity.get("ratio_label", RatioLabel.REQUESTED)
    if label == RatioLabel.ACHIEVED:
        return None
    buckets = identity.get("buckets") if label == RatioLabel.BUCKET else None
    return before | frozenset(map(float, buckets or identity.get("ratios", ())))


def _parent(artifact: Artifact, role: str) -> Artifact | None:
    """The stored artifact that another was made from in this role."""
    parent = artifact.manifest.content.parents.get(role)
    ref = None if parent is None else parent.ref
    return None if ref is None else artifact.store.get(ref.stage, ref.fingerprint)


def _listed(ratios: Iterable[float]) -> str:
    return ", ".join(f"{ratio:g}" for ratio in ratios)
