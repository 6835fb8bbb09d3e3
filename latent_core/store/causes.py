"""Why two artifacts differ: the first of what is behind them that was made in another way.

Only manifests are read. A fingerprint is computed from a stage's name, version, identity and parents, so two artifacts
of different fingerprints differ in one of these; where it is a parent, the question is asked of that parent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from latent_core.config.differences import ABSENT, Difference, differences
from latent_core.store.layout import ArtifactRef
from latent_core.store.manifest import DamagedError, Manifest
from latent_core.store.manifests import Manifests
from latent_core.store.reference import Reference

VERSION = "stage version"
Pair = tuple[ArtifactRef, ArtifactRef]


@dataclass
class Cause:
    """What is different about a stage itself, in all pairs of its artifacts that differ in just this.

    `is_first`: nothing that these artifacts were made from differs. `labels` are the roles by which others refer to
    them.
    """

    stage: str
    changes: tuple[Difference, ...]
    pairs: list[Pair]
    labels: list[str]
    is_first: bool


@dataclass
class Diagnosis:
    """Why `before` and `after` differ. Consequences are stages that differ in what they were made from alone, with how
    many artifacts; `unknown` says of pairs why nothing more is known."""

    before: ArtifactRef
    after: ArtifactRef
    causes: list[Cause] = field(default_factory=list)
    consequences: dict[str, int] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    pairs: int = 0

    @property
    def are_one(self) -> bool:
        return self.before == self.after


def diagnose(store: Manifests, before: ArtifactRef, after: ArtifactRef) -> Diagnosis:
    """Compare two artifacts of one stage, or of two, and all that is behind them.

    Raises FileNotFoundError where one of the two was never committed.
    """
    found = Diagnosis(before, after)
    if found.are_one:
        return found
    store.manifest(before), store.manifest(after)
    roles: dict[Pair, list[str]] = {(before, after): []}
    asked: list[Pair] = [(before, after)]
    grouped: dict[tuple[Any, ...], Cause] = {}
    while asked:
        read = dict(store.read_manifests({ref for pair in asked for ref in pair}))
        coming: dict[Pair, list[str]] = {}
        for pair in asked:
            found.pairs += 1
            manifests = [_whole(read.get(ref), ref, found.unknown) for ref in pair]
            if manifests[0] is None or manifests[1] is None:
                continue
            changes, parents = _compared(manifests[0], manifests[1])
            for role, other in parents.items():
                if other not in roles:
                    coming.setdefault(other, []).append(role)
            if changes:
                _add(grouped, pair, changes, roles[pair], is_first=not parents)
            else:
                found.consequences[pair[1].stage] = found.consequences.get(pair[1].stage, 0) + 1
        roles |= coming
        asked = list(coming)
    found.causes = sorted(grouped.values(), key=lambda cause: not cause.is_first)
    return found


def _whole(manifest: Manifest | DamagedError | None, ref: ArtifactRef, unknown: list[str]) -> Manifest | None:
    if isinstance(manifest, Manifest):
        return manifest
    unknown.append(f"{ref} is not in the store any more" if manifest is None else str(manifest))
    return None


def _compared(before: Manifest, after: Manifest) -> tuple[tuple[Difference, ...], dict[str, Pair]]:
    """What differs about two artifacts themselves, and the pairs of their parents that differ, by role."""
    one, other = before.content, after.content
    changes = []
    if one.stage != other.stage:
        changes.append(Difference("stage", one.stage, other.stage))
    elif one.stage_version != other.stage_version:
        changes.append(Difference(VERSION, one.stage_version, other.stage_version))
    changes += differences(one.identity, other.identity)
    parents: dict[str, Pair] = {}
    for role in dict.fromkeys([*one.parents, *other.parents]):
        mine, theirs = one.parents.get(role), other.parents.get(role)
        if mine == theirs:
            continue
        refs = [parent.ref for parent in (mine, theirs) if parent is not None and parent.ref is not None]
        if len(refs) == 2 and refs[0].stage == refs[1].stage:
            parents[role] = (refs[0], refs[1])
            continue
        changes.append(Difference(f"input {role}", _named(mine), _named(theirs)))
    return tuple(changes), parents


def _named(parent: Reference | None) -> Any:
    if parent is None:
        return ABSENT
    return str(parent.ref) if parent.ref is not None else f"content {parent.fingerprint[:12]}"


def _add(
    grouped: dict[tuple[Any, ...], Cause],
    pair: Pair,
    changes: tuple[Difference, ...],
    labels: Iterable[str],
    *,
    is_first: bool,
) -> None:
    key = (pair[1].stage, is_first, tuple((item.path, repr(item.before), repr(item.after)) for item in changes))
    cause = grouped.setdefault(key, Cause(pair[1].stage, changes, [], [], is_first))
    cause.pairs.append(pair)
    cause.labels += [label for label in labels if label not in cause.labels]


def uses_of(manifests: Iterable[Manifest]) -> Mapping[str, set[tuple[str, str]]]:
    """By fingerprint, what others were made of it: (their stage, its role there)."""
    found: dict[str, set[tuple[str, str]]] = {}
    for manifest in manifests:
        for role, parent in manifest.content.parents.items():
            found.setdefault(parent.fingerprint, set()).add((manifest.content.stage, role))
    return found
