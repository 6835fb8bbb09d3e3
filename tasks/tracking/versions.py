"""What is known of a registered model's versions: when and how each was trained, and how it was evaluated.

MLflow knows the versions and their aliases; everything else is read from the store's manifests and journals.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from latent_core.config.prompting import Prompting
from latent_core.config.ratio_form import AUTO
from latent_core.config.runtime import MODEL_NAME, TrackingConfig
from latent_core.errors import InputError
from latent_core.evaluation.condition import Condition, Kind
from latent_core.evaluation.promotion import Verdict, compare_models
from latent_core.evaluation.scores import Scores
from latent_core.evaluation.statistics import Estimate
from latent_core.identity import canonical_json
from latent_core.report.names import condition_name
from latent_core.store import ArtifactRef, ArtifactStore, DamagedError, Manifest
from tasks.evaluate import evaluate
from tasks.evaluations import scores_of
from tasks.tracking.client import answering, connect, holds_nothing
from tasks.tracking.journal import Promotion, journals
from tasks.tracking.models import CHAMPION, in_store, set_champion, version_of, versions

_SETTINGS = ("method", "learning_rate", "steps", "batch_size", "seed")  # of training, as far as the stage has them


@dataclass(frozen=True)
class ModelEvaluation:
    """One condition in which a model was evaluated. Equal keys mean the same questions, asked in the same way."""

    ref: ArtifactRef
    key: str
    condition: str
    benchmark: str
    questions: int
    accuracy: Estimate
    reasoning_tokens: float  # means per question; an unclosed think phase counts with its whole length
    total_tokens: float

    def line(self) -> str:
        value, low, high = self.accuracy
        return (
            f"{self.condition:<12} {100 * value:5.1f} % ({100 * low:.1f} to {100 * high:.1f}) "
            f"on {self.questions} questions of {self.benchmark}, {self.reasoning_tokens:.0f} reasoning tokens of "
            f"{self.total_tokens:.0f}"
        )


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model; `trained` is None where its artifact is not in the store that was asked."""

    name: str
    number: str
    aliases: tuple[str, ...]
    ref: ArtifactRef
    home: str  # the store that it was registered from
    registered: datetime
    trained: datetime | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    evaluations: tuple[ModelEvaluation, ...] = ()

    def lines(self) -> Iterator[str]:
        """All that is known, for people."""
        aliases = f" ({', '.join(self.aliases)})" if self.aliases else ""
        when = (
            f"trained {self.trained:%Y-%m-%d %H:%M}" if self.trained else f"registered {self.registered:%Y-%m-%d %H:%M}"
        )
        yield f"version {self.number}{aliases}, {when}, {self.ref}"
        if self.trained is None:
            yield f"    is not in the store that was asked, but in {self.home}: give it as --store"
            return
        yield "    " + ", ".join(f"{name} {value}" for name, value in self.settings.items())
        yield from (f"    {evaluation.line()}" for evaluation in self.evaluations)
        if not self.evaluations:
            yield f"    was never evaluated: latent eval --model models:/{self.name}/{self.number}"


def registered_names(tracking: TrackingConfig) -> list[str]:
    """The names in the model registry that runs can give, in order; others are of other projects.

    Raises InfrastructureError when the registry does not answer.
    """
    if holds_nothing(tracking):
        return []
    with answering(tracking):
        client, names, token = connect(tracking), [], None
        while token != "":
            page = client.search_registered_models(page_token=token)
            names += [model.name for model in page if re.fullmatch(MODEL_NAME, model.name)]
            token = page.token or ""
    return sorted(names)


def known_versions(name: str, store: ArtifactStore, tracking: TrackingConfig) -> list[ModelVersion]:
    """The versions of a registered model that runs of this project registered, oldest first.

    Raises InputError for what is no name, and InfrastructureError when the registry does not answer.
    """
    if not re.fullmatch(MODEL_NAME, name):
        raise InputError(f"model: {name!r} is no name of a registered model; `latent models` lists them")
    if holds_nothing(tracking):
        return []
    with answering(tracking):
        client = connect(tracking)
        found = [version for version in versions(client, name) if {"stage", "fingerprint"} <= set(version.tags)]
        aliases = client.get_registered_model(name).aliases if found else {}
    library = Library(store)
    return [library.describe(version, _aliases_of(version, aliases)) for version in found]


def find_candidate(name: str, wanted: str, store: ArtifactStore, tracking: TrackingConfig) -> tuple[ModelVersion, ...]:
    """The version to be promoted, by number or alias, and the champion behind it where there is one.

    Raises InputError where there is no such version, or its artifact does not lie in `store`.
    """
    known = known_versions(name, store, tracking)
    with answering(tracking):
        version = version_of(connect(tracking), name, wanted)
    in_store(version, store)
    candidate = next(item for item in known if item.number == str(version.version))
    return candidate, *(item for item in known if CHAMPION in item.aliases)


def compare(champion: ModelVersion, candidate: ModelVersion, store: ArtifactStore) -> Verdict:
    """Pair the two on every condition that both were evaluated in; raises DamagedError where rows are not whole."""
    theirs = {evaluation.key: evaluation for evaluation in champion.evaluations}
    common = [(theirs[mine.key], mine) for mine in candidate.evaluations if mine.key in theirs]
    return compare_models(
        {
            f"{mine.condition} of {mine.benchmark} ({mine.ref})": (_scores(store, other.ref), _scores(store, mine.ref))
            for other, mine in common
        }
    )


def promote(candidate: ModelVersion, store: ArtifactStore, tracking: TrackingConfig, now: float) -> None:
    """Make a version the champion of its name, in MLflow and in the store's own memory."""
    set_champion(tracking, candidate.name, candidate.number)
    Promotion(candidate.name, candidate.ref.stage, candidate.ref.fingerprint, now).write(store)


class Library:
    """The store's manifests and journals, read once for all models: what was made by which run, and evaluated how."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self._runs: dict[tuple[str, str], Mapping[str, Any]] = {}  # parameters of the run that first had a stage
        self._labels: dict[tuple[str, str], str] = {}  # what that run called it
        for journal in journals(store):
            for entry in journal.stages:
                self._runs.setdefault((entry.stage, entry.fingerprint), journal.config)
                self._labels.setdefault((entry.stage, entry.fingerprint), entry.label)
        self._evaluations: dict[str, list[Manifest]] = {}
        for _, manifest in store.committed(evaluate.name):
            if isinstance(manifest, Manifest) and "model" in manifest.content.parents:
                self._evaluations.setdefault(manifest.content.parents["model"].fingerprint, []).append(manifest)

    def run_of(self, ref: ArtifactRef) -> Mapping[str, Any]:
        """The parameters of the run that made an artifact; empty where no journal tells."""
        return self._runs.get((ref.stage, ref.fingerprint), {})

    def label_of(self, ref: ArtifactRef) -> str:
        """What that run called it, such as dual or dual-seed1; empty where no journal tells."""
        return self._labels.get((ref.stage, ref.fingerprint), "")

    def evaluations(self, fingerprint: str) -> list[ModelEvaluation]:
        """The evaluations of the model with this fingerprint, by benchmark and condition."""
        return sorted(map(self._evaluation, self._evaluations.get(fingerprint, [])), key=_by_condition)

    def describe(self, version: Any, aliases: Sequence[str]) -> ModelVersion:
        ref = ArtifactRef(version.tags["stage"], version.tags["fingerprint"])
        registered = datetime.fromtimestamp(version.creation_timestamp / 1000)
        about = (version.name, str(version.version), tuple(aliases), ref, version.tags.get("store", "?"), registered)
        artifact = self._store.get(ref.stage, ref.fingerprint)
        if artifact is None:
            return ModelVersion(*about, trained=None)
        record = artifact.manifest.record
        evaluations = self.evaluations(ref.fingerprint)
        return ModelVersion(
            *about,
            trained=datetime.fromtimestamp(record["started"] + record["seconds"]),
            settings=self._settings(ref, artifact.manifest.content.identity),
            evaluations=tuple(evaluations),
        )

    def _settings(self, ref: ArtifactRef, identity: Mapping[str, Any]) -> dict[str, Any]:
        run = self.run_of(ref)
        settings = {name: identity[name] for name in _SETTINGS if name in identity}
        return settings | {"from": run.get("model", "?"), "on": _benchmark(run) or "?"}

    def _evaluation(self, manifest: Manifest) -> ModelEvaluation:
        content = manifest.content
        problems = content.parents["problems"].fingerprint if "problems" in content.parents else ""
        asked = content.identity["ratio"]
        kind = Kind.AUTO if asked == AUTO else Kind[Prompting(content.identity["prompting"]).name]
        condition = Condition("model", kind, asked if kind.takes_ratio else None)
        recorded = manifest.record.get("benchmarks", {}).get("problems", {}).get("name")
        run = self.run_of(manifest.ref)
        return ModelEvaluation(
            manifest.ref,
            canonical_json([content.stage_version, content.identity, problems]),
            condition_name(condition),
            recorded or _benchmark(run) or f"problems {problems[:8]}",
            content.metrics["questions"],
            Estimate(**content.metrics["accuracy"]),
            content.metrics["reasoning_tokens"],
            content.metrics["tokens"]["value"],
        )


def _benchmark(parameters: Mapping[str, Any]) -> str | None:
    return (parameters.get("benchmark") or {}).get("name")


def _by_condition(evaluation: ModelEvaluation) -> tuple[str, str]:
    return evaluation.benchmark, evaluation.condition


def _aliases_of(version: Any, aliases: Mapping[str, Any]) -> list[str]:
    return sorted(alias for alias, number in aliases.items() if str(number) == str(version.version))


def _scores(store: ArtifactStore, ref: ArtifactRef) -> Scores:
    verification = store.verify(ref)
    if not verification.ok:
        raise DamagedError(f"{ref} is damaged ({verification.problems[0]}); evaluate again")
    return scores_of(store.require(ref))
