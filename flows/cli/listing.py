"""What `latent artifacts ls` says of each artifact, from manifests alone; no data file is opened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from flows.cli.tables import date, size
from latent_core.errors import InputError
from latent_core.evaluation.condition import condition_of
from latent_core.report.names import full_name
from latent_core.store import ArtifactRef, ArtifactStore, DamagedError, Manifest
from latent_core.store.causes import uses_of
from tasks.progress.durations import duration

_MOST_USES = 3  # that a line names
REPORTS = ("report", "compare_arms")  # stages whose parents are evaluations; loading these takes longer than a listing
_NAMING = (*REPORTS, "report_agents")  # whose roles say what an artifact was made for


@dataclass(frozen=True)
class Listed:
    """An artifact as a listing shows it. `made_for` is what reports call it: a condition, a variant's training.

    `bytes` are its own files, shards left out; `accuracy` a fraction. What a damaged one holds is not known.
    """

    stage: str
    fingerprint: str
    state: str
    started: float | None = None
    seconds: float | None = None
    rows: int | None = None
    bytes: int | None = None
    accuracy: float | None = None
    made_for: tuple[str, ...] = ()
    title: str = ""

    def line(self) -> str:
        """For people: one line."""
        start = f"{self.stage:<18} {self.fingerprint[:12]}"
        if self.rows is None or self.bytes is None:
            return f"{start} {'-':<16} {'-':>9} {'-':>10} {'-':>9} {'-':>8}  {self.state}"
        accuracy = "" if self.accuracy is None else f"{100 * self.accuracy:.1f} %"
        took = "" if self.seconds is None else duration(self.seconds)
        uses = [self.title] if self.title else list(self.made_for[:_MOST_USES])
        more = f" and {len(self.made_for) - _MOST_USES} more" if len(self.made_for) > _MOST_USES else ""
        return (
            f"{start} {date(self.started):<16} {self.rows:>9,} {took:>10} {size(self.bytes):>9} "
            f"{accuracy:>8}  {self.state:<9}  {'; '.join(uses)}{more}"
        ).rstrip()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def listed(store: ArtifactStore, stage: str | None, check: bool) -> list[Listed]:
    """Every committed artifact, or a stage's, by stage and fingerprint; `check` looks whether their files are there."""
    found = list(store.committed(stage))
    read = [item for _, item in found if isinstance(item, Manifest)]
    if stage is not None:  # what it was made for is said by others
        read += [item for name in _NAMING for _, item in store.committed(name) if isinstance(item, Manifest)]
    uses = uses_of(read)
    return [_listed(store, ref, manifest, uses.get(ref.fingerprint, set()), check) for ref, manifest in found]


def _listed(
    store: ArtifactStore,
    ref: ArtifactRef,
    manifest: Manifest | DamagedError,
    uses: set[tuple[str, str]],
    check: bool,
) -> Listed:
    damage = str(manifest) if isinstance(manifest, DamagedError) else store.damage(ref) if check else None
    if isinstance(manifest, DamagedError) or damage is not None:
        return Listed(ref.stage, ref.fingerprint, damage or "damaged")
    content, record = manifest.content, manifest.record
    accuracy = content.metrics.get("accuracy")
    return Listed(
        ref.stage,
        ref.fingerprint,
        "whole" if check else "committed",
        record.get("started"),
        record["seconds"],
        content.rows,
        sum(item.bytes for item in content.files),
        accuracy.get("value") if isinstance(accuracy, dict) else None,
        tuple(sorted(set(_names(uses)))),
        str(content.identity.get("title", "")),
    )


def _names(uses: set[tuple[str, str]]) -> Iterator[str]:
    """What reports call an artifact; without one, the stages that were made from it."""
    by_report = [role for stage, role in uses if stage in _NAMING]
    for role in by_report:
        yield named(role)
    if not by_report:
        yield from (f"{stage} ({role})" for stage, role in uses)


def named(role: str) -> str:
    """A role for people: `dual, ratio 0.5` of an evaluation, others as they are."""
    try:
        condition = condition_of(role)
    except InputError:  # of a newer release
        return role
    return role if condition is None else full_name(condition)
