"""The browser of samples without its components: what a link asks for, and what is then shown."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from urllib.parse import urlencode

from latent_core.errors import InputError
from latent_core.ui.graded import (
    Evaluated,
    EvaluatedRun,
    GradedSamples,
    Line,
    Show,
    by_size,
    counterpart,
    counts,
    levels,
    matching,
)

ROWS = 10  # of the list, a page
NOBODY = "none"


@dataclass(frozen=True)
class Link:
    """What is looked at, as the page's address says it; what is empty is chosen by the page.

    `condition` and `beside` are keys of evaluations, e.g. dual/ratio 0.5; `beside` may be NOBODY.
    """

    run: str = ""
    condition: str = ""
    beside: str = ""
    show: str = ""
    level: str = ""
    sample: str = ""

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Link:
        """From an address's parameters; others than these are left alone."""
        return cls(**{field.name: parameters[field.name] for field in fields(cls) if field.name in parameters})

    def query(self) -> str:
        """The part of the address behind the question mark, with it."""
        return "?" + urlencode({name: value for name, value in vars(self).items() if value})


@dataclass(frozen=True)
class Source:
    """A run that can be chosen; `open` reads its manifests, and raises InputError where it holds no samples."""

    key: str
    title: str
    open: Callable[[], EvaluatedRun]


@dataclass(frozen=True)
class Shown:
    """All that the tab shows; `link` names everything that the page chose too. `notes` are for the reader.

    `line` is the sample looked at, the place `number` (from 0) in `listed`; None where the filter leaves none.
    """

    link: Link
    run: EvaluatedRun
    evaluated: Evaluated
    beside: Evaluated | None
    counts: Mapping[Show, int]
    levels: Sequence[str]
    listed: Sequence[Line]
    others: Mapping[str, Line]
    number: int
    notes: tuple[str, ...]

    @property
    def line(self) -> Line | None:
        return self.listed[self.number] if self.listed else None

    @property
    def page(self) -> Sequence[Line]:
        """The lines around the sample that is looked at."""
        start = self.number // ROWS * ROWS
        return self.listed[start : start + ROWS]


class SampleBrowser:
    """Answers links. `sources` gives the runs on offer, the first of which is opened where a link names none."""

    def __init__(self, samples: GradedSamples, sources: Callable[[], Sequence[Source]]) -> None:
        self.samples = samples
        self._sources = sources
        self._opened: dict[str, EvaluatedRun] = {}
        self._lock = threading.Lock()

    def choices(self) -> list[tuple[str, str]]:
        """Title and key of every run on offer."""
        return [(source.title, source.key) for source in self._sources()]

    def show(self, link: Link) -> Shown:
        """What a link asks for. What it names and the run does not have is chosen anew, and noted.

        Raises InputError where no run is on offer, where there is none of the link's name, and where it has no samples.
        """
        run = self._run(link.run)
        notes = [f"missing or damaged: {', '.join(run.missing)}"] if run.missing else []
        evaluated = _named(run, link.condition, "condition", notes) or run.evaluations[0]
        beside = None
        if link.beside != NOBODY:
            beside = _named(run, link.beside, "beside", notes) or counterpart(run, evaluated)
        index = self.samples.index(evaluated)
        others = {} if beside is None else self.samples.index(beside)
        lines = list(index.values())
        known = levels(lines)
        level = link.level if link.level in known else ""
        if link.level and not level:
            notes.append(f"level: there is no {link.level!r} here")
        if link.show and link.show not in set(Show):
            notes.append(f"show: there is no filter {link.show!r}; the filters are {', '.join(Show)}")
        show = Show(link.show) if link.show in set(Show) else Show.ALL
        listed = matching(lines, others, show, level or None)
        places = {line.key: place for place, line in enumerate(listed)}
        if link.sample and link.sample not in places:
            there = "is not among these" if link.sample in index else "is not in this evaluation"
            notes.append(f"sample: {link.sample!r} {there}")
        number = places.get(link.sample, 0)
        exact = Link(
            run.key,
            evaluated.key,
            NOBODY if beside is None else beside.key,
            "" if show is Show.ALL else show,
            level,
            listed[number].key if listed else "",
        )
        found = counts(lines, others, level or None)
        return Shown(exact, run, evaluated, beside, found, known, listed, others, number, tuple(notes))

    def step(self, link: Link, by: int) -> Shown:
        """What is shown `by` samples further in the list, which ends at its ends."""
        shown = self.show(link)
        if not shown.listed:
            return shown
        number = min(max(shown.number + by, 0), len(shown.listed) - 1)
        return replace(shown, number=number, link=replace(shown.link, sample=shown.listed[number].key))

    def _run(self, key: str) -> EvaluatedRun:
        sources = self._sources()
        if not sources:
            raise InputError("run: the store has no report yet; `latent run` writes one")
        source = next((source for source in sources if source.key == key), None) if key else sources[0]
        if source is None:
            raise InputError(f"run: {key!r} is not on this page; choose one of the list")
        with self._lock:
            if source.key not in self._opened:
                self._opened[source.key] = source.open()
            return self._opened[source.key]


def models_of(run: EvaluatedRun) -> list[str]:
    """The models, in the order of the run."""
    return list(dict.fromkeys(one.model for one in run.evaluations))


def conditions_of(run: EvaluatedRun, model: str) -> list[Evaluated]:
    """A model's evaluations, the largest ratio first."""
    return by_size(one for one in run.evaluations if one.model == model)


def nearest(run: EvaluatedRun, model: str, like: Evaluated) -> Evaluated:
    """A model's evaluation under the condition of `like`, else at the same ratio, else its first."""
    own = conditions_of(run, model)
    same = [one for one in own if one.condition == like.condition] or [one for one in own if one.ratio == like.ratio]
    return (same or own)[0]


def _named(run: EvaluatedRun, key: str, field: str, notes: list[str]) -> Evaluated | None:
    found = next((one for one in run.evaluations if one.key == key), None)
    if key and found is None:
        notes.append(f"{field}: this run has no {key!r}")
    return found
