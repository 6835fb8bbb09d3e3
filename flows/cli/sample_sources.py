"""Which evaluations the browser of samples offers: those of a store's reports, and those that somebody names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from flows.cli.listing import REPORTS
from flows.cli.tables import date
from latent_core.errors import InputError
from latent_core.evaluation.condition import Kind, condition_of, role_ending
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, Manifest
from latent_core.ui.browser import SampleBrowser, Source
from latent_core.ui.graded import Evaluated, EvaluatedRun, GradedSamples
from tasks.report import write_report
from tasks.run.history import named_result
from tasks.tables import SAMPLES

_LACKING = "has no result; name one of its evaluations instead"
_SHORT = 12  # hexadecimal digits of a fingerprint that a link names a run by


def sample_browser(store: ArtifactStore, named: Sequence[str] = ()) -> SampleBrowser:
    """The browser over a store's reports, the newest first; `named` are looked at together and come before them.

    `named` are runs as `latent runs` lists them, reports and evaluations as stage/fingerprint. Raises InputError for
    one that cannot be found or has no samples.
    """
    samples = GradedSamples(SAMPLES.file)
    refs = list(dict.fromkeys(named_result(store, word, _LACKING) for word in named))
    own = [_named_source(store, refs)] if refs else []

    def sources() -> list[Source]:
        known = {source.key for source in own}
        return [*own, *(source for source in _reports(store) if source.key not in known)]

    browser = SampleBrowser(samples, sources)
    for source in own:
        for evaluated in source.open().evaluations:
            samples.index(evaluated)
    return browser


def _reports(store: ArtifactStore) -> list[Source]:
    found = [
        (float(manifest.record["started"]), Source(_key(ref), _title(manifest), partial(_report, store, ref)))
        for stage in REPORTS
        for ref, manifest in store.committed(stage)
        if isinstance(manifest, Manifest)
    ]
    return [source for _, source in sorted(found, key=lambda item: -item[0])]


def _named_source(store: ArtifactStore, refs: Sequence[ArtifactRef]) -> Source:
    runs = [_opened(store, ref) for ref in refs]
    if len(runs) == 1:
        return Source(runs[0].key, runs[0].title, lambda: runs[0])
    evaluations = [one for run in runs for one in run.evaluations]
    together = EvaluatedRun(
        "+".join(run.key for run in runs),
        " and ".join(run.title for run in runs),
        _told_apart(evaluations),
        tuple(name for run in runs for name in run.missing),
    )
    return Source(together.key, together.title, lambda: together)


def _told_apart(evaluations: Sequence[Evaluated]) -> tuple[Evaluated, ...]:
    """Each evaluation once; those of one name are told apart by their address."""
    single = {one.artifact.ref: one for one in evaluations}.values()
    names = Counter(one.key for one in single)
    return tuple(
        replace(one, model=f"{one.model} ({_short(one.artifact.ref)})") if names[one.key] > 1 else one for one in single
    )


def _opened(store: ArtifactStore, ref: ArtifactRef) -> EvaluatedRun:
    """A report's evaluations, or an evaluation alone."""
    artifact = store.require(ref)
    if _asked(artifact):
        return _report(store, ref)
    content = artifact.manifest.content
    if not content.shards and not any(item.path == SAMPLES.file for item in content.files):
        raise InputError(
            f"artifact: {ref} has no samples to look at; name a run (`latent runs`), a report "
            "(report/FINGERPRINT) or an evaluation (evaluate/FINGERPRINT)"
        )
    asked = _described(store, artifact)
    alone = Evaluated(asked.model, asked.condition, asked.ratio, artifact)
    return EvaluatedRun(_key(ref), f"{alone.name}, {_short(ref)}", (alone,))


def _report(store: ArtifactStore, ref: ArtifactRef) -> EvaluatedRun:
    report = store.require(ref)
    found, missing = [], []
    for asked, parent in _asked(report).items():
        artifact = None if parent is None else store.get(parent.stage, parent.fingerprint)
        if artifact is None:
            missing.append(f"{asked.model}, {asked.condition}")
        else:
            found.append(Evaluated(asked.model, asked.condition, asked.ratio, artifact))
    if not found:
        raise InputError(f"artifact: the store has none of the evaluations of {ref} any more; run it again")
    return EvaluatedRun(_key(ref), _title(report.manifest), tuple(found), tuple(missing))


class Asked(NamedTuple):
    """What was asked of which model, as people read it; `ratio` is None where none was asked for, or none is known."""

    model: str
    condition: str
    ratio: float | None
    is_ratio: bool = False  # as the model was trained on ratios


def _asked(report: Artifact) -> dict[Asked, ArtifactRef | None]:
    """Models that were trained on ratios come first, and of each the largest ratio."""
    behind = {
        asked: parent.ref
        for role, parent in report.manifest.content.parents.items()
        if (asked := _of_role(role)) is not None
    }
    order = sorted(behind, key=lambda one: (not one.is_ratio, one.model, -(one.ratio or 0.0)))
    return {asked: behind[asked] for asked in order}


def _of_role(role: str) -> Asked | None:
    """What the role of an evaluation says; None for another role. A kind of a newer release is called as there."""
    try:
        condition = condition_of(role)
    except InputError:
        model, _, ending = role.partition("/")[2].rpartition("/")
        return Asked(model, ending, None)
    if condition is None:
        return None
    return Asked(condition.trained_model, role_ending(condition), condition.ratio, condition.kind is Kind.RATIO)


def _described(store: ArtifactStore, evaluation: Artifact) -> Asked:
    """As a report calls it, else from what the evaluation was made of."""
    for _, manifest in store.committed(write_report.name):
        if not isinstance(manifest, Manifest):
            continue
        for role, parent in manifest.content.parents.items():
            asked = _of_role(role) if parent.ref == evaluation.ref else None
            if asked is not None:
                return asked
    content = evaluation.manifest.content
    evaluated = content.parents.get("model")
    model = evaluation.ref.stage if evaluated is None else f"{evaluated.stage or 'model'} {evaluated.fingerprint[:8]}"
    ratio = content.identity.get("ratio")
    if not isinstance(ratio, (int, float)):
        return Asked(model, evaluation.ref.stage, None)
    prompting = str(content.identity.get("prompting", "ratio"))
    return Asked(model, f"{prompting} {ratio:g}", float(ratio))


def _title(manifest: Manifest) -> str:
    name = manifest.content.identity.get("title", manifest.ref.stage)
    return f"{date(manifest.record['started'])}, {name} ({_short(manifest.ref)})"


def _key(ref: ArtifactRef) -> str:
    return f"{ref.stage}/{ref.fingerprint[:_SHORT]}"


def _short(ref: ArtifactRef) -> str:
    return f"{ref.stage}/{ref.fingerprint[:8]}"
