"""Stage `report_agents`: agents over seeds beside start, placebo and references, as a page, a table and numbers."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Annotated, Any, NamedTuple

import numpy as np

from latent_core.config.base import IDENTITY, StageConfig
from latent_core.dual.remap import IGNORED
from latent_core.report import Provenance
from latent_core.report.agents import Agents, Member
from latent_core.report.agents_page import render_agents
from latent_core.report.agents_plots import agents_figures
from latent_core.report.agents_tables import arms_table
from latent_core.report.episodes import ShownEpisode, chosen, shown_episode
from latent_core.report.table import markdown_table
from latent_core.store import Artifact, ArtifactRef, ArtifactWriter
from tasks.agent import ROLLOUTS
from tasks.environment import code_version
from tasks.inputs import EnvironmentInput, Input
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import TRAIN, TURNS, VALIDATION

REPORT_HTML, TABLE_MARKDOWN, RESULTS = "report.html", "table.md", "results.json"
AGENT = "agent/"
"""What the roles of trained agents begin with."""
_FIRST = ["seed", "turn", "context_ids"]  # columns of a turn that tell an instance by its first one
_LIBRARIES = ("torch", "transformers", "trl", "gymnasium", "reasoning-gym")


class ReportAgents(StageConfig):
    """What the page is called."""

    title: Annotated[str, IDENTITY]


class ReportAgentsInputs(NamedTuple):
    """Measured play of the start model and of every agent, their trainings, the play that they are held against, and
    the examples of the format start, where there was one. `environment` is what was measured in."""

    environment: EnvironmentInput
    played: Mapping[Member, ArtifactRef]
    agents: Mapping[Member, ArtifactRef]
    reference: ArtifactRef
    examples: ArtifactRef | None = None

    def roles(self) -> dict[str, Input]:
        return {
            "environment": self.environment,
            **{f"play/{member.name}": ref for member, ref in self.played.items()},
            **{f"{AGENT}{member.name}": ref for member, ref in self.agents.items()},
            "reference": self.reference,
            **({} if self.examples is None else {"examples": self.examples}),
        }


class Met(NamedTuple):
    """Of `instances` that models were measured on: how many begin as one that some agent trained on, and how many as
    one of the format start."""

    instances: int
    in_training: int
    in_format_start: int


# 5: intervals of differences are over instances, too
@stage("report_agents", version=5, shown=True)
def report_agents(
    out: ArtifactWriter, inputs: ReportAgentsInputs, config: ReportAgents, workplace: Workplace
) -> Outcome:
    played = {member: workplace.artifact(ref) for member, ref in inputs.played.items()}
    trained = {member: workplace.artifact(ref) for member, ref in inputs.agents.items()}
    reference = workplace.artifact(inputs.reference)
    agents = Agents(
        config.title,
        {member: artifact.manifest.content.metrics for member, artifact in played.items()},
        {member: artifact.manifest.content.metrics["steps"] for member, artifact in trained.items()},
        reference.manifest.content.metrics,
        {member: _returns(artifact) for member, artifact in played.items()},
    )
    behind = {f"play/{member.name}": artifact for member, artifact in played.items()}
    behind |= {f"{AGENT}{member.name}": artifact for member, artifact in trained.items()}
    behind["reference"] = reference
    if inputs.examples is not None:
        behind["examples"] = workplace.artifact(inputs.examples)
    met = _met(played, trained, behind.get("examples"))
    figures = agents_figures(agents)
    fingerprints = [("environment", inputs.environment.name, inputs.environment.fingerprint)]
    fingerprints += [(role, one.ref.stage, one.ref.fingerprint) for role, one in behind.items()]
    page = render_agents(
        agents,
        figures,
        {member.name: list(_episodes(played[member])) for member in _shown(played)},
        subtitle=f"{inputs.environment.name}, {agents.instances} instances",
        notes=[*_notes(behind), *_met_note(met)],
        provenance=Provenance(
            rows=[dict(zip(("role", "made_by", "fingerprint"), row, strict=True)) for row in fingerprints],
            environment={"commit of this page": code_version()} | {name: version(name) for name in _LIBRARIES},
        ),
    )
    results = agents.to_json() | {
        "environment": {"name": inputs.environment.name, "fingerprint": inputs.environment.fingerprint},
        "met": met._asdict(),
        "fingerprints": {role: f"{one.ref.stage}/{one.ref.fingerprint}" for role, one in behind.items()},
    }
    texts = {REPORT_HTML: page, TABLE_MARKDOWN: markdown_table(arms_table(agents))}
    texts[RESULTS] = json.dumps(results, indent=1, ensure_ascii=False)
    for name, text in texts.items():
        with out.open(name) as file:
            file.write(text.encode())
    for name, svg in figures.items():
        with out.open(f"figures/{name}.svg") as file:
            file.write(svg)
    return Outcome(accounting={"kept": len(played)}, metrics={"arms": len(agents.arms())})


def _shown(played: Mapping[Member, Artifact]) -> list[Member]:
    """The first model of every arm."""
    first: dict[str, Member] = {}
    for member in played:
        first.setdefault(member.arm, member)
    return list(first.values())


def _episodes(played: Artifact) -> Iterator[ShownEpisode]:
    """The best, the middle and the worst of what one model played."""
    ends = TURNS.rows(played, ["seed", "sample", "return", "end"])
    places = chosen([(row["return"], row["seed"], row["sample"]) for row in ends if row["end"] is not None])
    rows: dict[tuple[int, int], list[dict[str, object]]] = {episode: [] for episode in places}
    for row in TURNS.rows(played):
        if (row["seed"], row["sample"]) in rows:
            rows[row["seed"], row["sample"]].append(row)
    for episode, place in places.items():
        yield shown_episode(place, rows[episode])


def _returns(played: Artifact) -> dict[int, float]:
    """The mean return of each instance's episodes."""
    found: dict[int, list[float]] = defaultdict(list)
    for row in TURNS.rows(played, ["seed", "return", "end"]):
        if row["end"] is not None:
            found[row["seed"]].append(row["return"])
    return {seed: sum(returns) / len(returns) for seed, returns in found.items()}


def _met(played: Mapping[Member, Artifact], trained: Mapping[Member, Artifact], examples: Artifact | None) -> Met:
    """An instance is told by its prompt, whose ids stand in front of what a model wrote."""
    measured = {seed: prompt for artifact in played.values() for seed, prompt in _prompts(TURNS.rows(artifact, _FIRST))}
    drawn = {prompt for artifact in trained.values() for _, prompt in _prompts(artifact.rows_of(ROLLOUTS, _FIRST))}
    taught: set[bytes] = set()
    if examples is not None:
        for table in (TRAIN, VALIDATION):
            for row in table.rows(examples, ["input_ids", "labels"]):
                ids, labels = (np.asarray(row[name], dtype=np.int32) for name in ("input_ids", "labels"))
                taught.add(ids[: int(np.argmax(labels != IGNORED))].tobytes())
    prompts = list(measured.values())
    return Met(len(prompts), *(sum(prompt in seen for prompt in prompts) for seen in (drawn, taught)))


def _prompts(turns: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, bytes]]:
    """Instances by their seeds, with the prompt's ids."""
    for row in turns:
        if row["turn"] == 0:
            yield row["seed"], np.asarray(row["context_ids"], dtype=np.int32).tobytes()


def _met_note(met: Met) -> Iterator[str]:
    if met.in_training or met.in_format_start:
        yield (
            f"Of the {met.instances} instances that are measured, {met.in_training} begin as one that an agent trained "
            f"on, and {met.in_format_start} as one of the format start. Where an environment draws nothing after its "
            "first observation these are the same instances, and play on them is no measure of new ones."
        )


def _notes(behind: Mapping[str, Artifact]) -> Iterator[str]:
    """What is missing, counted."""
    for role, artifact in behind.items():
        aborted = artifact.manifest.content.accounting.get("aborted", 0)
        if aborted:
            what = "episodes" if role.startswith(AGENT) else "instances"
            yield f"{role}: the environment gave no answer for {aborted} of the {what}, which are left out."
