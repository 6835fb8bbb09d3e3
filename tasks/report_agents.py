"""Stage `report_agents`: agents over seeds beside start, placebo and references, as a page, a table and numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Annotated, NamedTuple

from latent_core.config.base import IDENTITY, StageConfig
from latent_core.report import Provenance
from latent_core.report.agents import Agents, Member
from latent_core.report.agents_page import render_agents
from latent_core.report.agents_plots import agents_figures
from latent_core.report.agents_tables import arms_table
from latent_core.report.episodes import ShownEpisode, chosen, shown_episode
from latent_core.report.table import markdown_table
from latent_core.store import Artifact, ArtifactRef, ArtifactWriter
from tasks.environment import code_version
from tasks.inputs import EnvironmentInput, Input
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import TURNS

REPORT_HTML, TABLE_MARKDOWN, RESULTS = "report.html", "table.md", "results.json"
AGENT = "agent/"
"""What the roles of trained agents begin with."""
_LIBRARIES = ("torch", "transformers", "trl", "gymnasium", "reasoning-gym")


class ReportAgents(StageConfig):
    """What the page is called."""

    title: Annotated[str, IDENTITY]


class ReportAgentsInputs(NamedTuple):
    """Measured play of the start model and of every agent, their trainings, and the play that they are held against."""

    environment: EnvironmentInput
    played: Mapping[Member, ArtifactRef]
    agents: Mapping[Member, ArtifactRef]
    reference: ArtifactRef

    def roles(self) -> dict[str, Input]:
        return {
            "environment": self.environment,
            **{f"play/{member.name}": ref for member, ref in self.played.items()},
            **{f"{AGENT}{member.name}": ref for member, ref in self.agents.items()},
            "reference": self.reference,
        }


@stage("report_agents", version=3, shown=True)
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
    )
    behind = {f"play/{member.name}": artifact for member, artifact in played.items()}
    behind |= {f"{AGENT}{member.name}": artifact for member, artifact in trained.items()}
    behind["reference"] = reference
    figures = agents_figures(agents)
    fingerprints = [("environment", inputs.environment.name, inputs.environment.fingerprint)]
    fingerprints += [(role, one.ref.stage, one.ref.fingerprint) for role, one in behind.items()]
    page = render_agents(
        agents,
        figures,
        {member.name: list(_episodes(played[member])) for member in _shown(played)},
        subtitle=f"{inputs.environment.name}, {agents.instances} instances",
        notes=list(_notes(behind)),
        provenance=Provenance(
            rows=[dict(zip(("role", "made_by", "fingerprint"), row, strict=True)) for row in fingerprints],
            environment={"commit of this page": code_version()} | {name: version(name) for name in _LIBRARIES},
        ),
    )
    results = agents.to_json() | {
        "environment": {"name": inputs.environment.name, "fingerprint": inputs.environment.fingerprint},
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


def _notes(behind: Mapping[str, Artifact]) -> Iterator[str]:
    """What is missing, counted."""
    for role, artifact in behind.items():
        aborted = artifact.manifest.content.accounting.get("aborted", 0)
        if aborted:
            what = "episodes" if role.startswith(AGENT) else "instances"
            yield f"{role}: the environment gave no answer for {aborted} of the {what}, which are left out."
