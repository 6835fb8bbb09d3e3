"""Agents: a model learns to act in an environment over several turns, beside a placebo and known references."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.launch.registry import FlowEntry
from flows.parts.engines import require_rollout_engine
from flows.parts.publish import publish, show
from latent_core.config.agents import Estimator
from latent_core.config.rl import ReferencePlayConfig, RlFlowConfig
from latent_core.dual import DualVocabulary
from latent_core.dual.storage import FILE_NAME as VOCABULARY_FILE
from latent_core.errors import InputError
from latent_core.models.source import short_name
from latent_core.report.agents import PLACEBO, START, TRAINED, Member
from latent_core.rl.advantages import check_states
from latent_core.rl.environments import EnvironmentSpec
from latent_core.rl.play.random_play import can_be_random
from latent_core.store import Artifact, ArtifactRef, ArtifactStore
from tasks.agent import AgentInputs, train_agent
from tasks.inputs import EnvironmentInput, Model, ModelInput
from tasks.legal_play import LegalPlayInputs, write_legal_play
from tasks.play import PlayInputs, play
from tasks.reference_play import ReferencePlayInputs, reference_play
from tasks.report_agents import AGENT, ReportAgents, ReportAgentsInputs, report_agents
from tasks.run.execution import open_run
from tasks.run.protocol import Run
from tasks.tracking.models import find_model
from tasks.train import TrainInputs, train


def rl(cfg: RlFlowConfig, force: Sequence[str] = ()) -> dict[str, str]:
    """Train agents in an environment with several seeds, and measure them on seeds that training never draws.

    Args:
        cfg: The run, one section per stage.
        force: Names of stages to compute again although the store has their results.
    """
    with open_run("rl", cfg, force=force) as run:
        report = compose(cfg, run)
        result = publish(run, report)
        conclude(cfg, run, run.artifact(report))
        return result


def conclude(cfg: RlFlowConfig, run: Run, report: Artifact) -> None:
    """Register the agents; a placebo has learned nothing and is not registered."""
    parents = report.manifest.content.parents
    names = {Member(TRAINED, seed).name: seed for seed in cfg.seeds}
    agents = {
        f"agent-seed{seed}": ArtifactRef(train_agent.name, parents[f"{AGENT}{name}"].fingerprint)
        for name, seed in names.items()
    }
    run.register_models(cfg.tracking.register_as, agents)


def compose(cfg: RlFlowConfig, run: Run) -> ArtifactRef:
    """The stages and how they hang together; returns the report."""
    environment = EnvironmentInput.find(cfg.environment)
    measured = environment if cfg.play_environment is None else EnvironmentInput.find(cfg.play_environment)
    spec = environment.open()
    _check_rules(cfg, spec, spec if measured is environment else measured.open())
    _check_estimator(cfg, spec)
    start, examples = format_start(cfg, run, environment, spec)
    reference = ReferencePlayConfig(instances=cfg.play.instances, max_turns=cfg.play.rules.max_turns)
    against = run.stage(reference_play, reference, ReferencePlayInputs(measured))
    played = {Member(START): run.stage(play, cfg.play, PlayInputs(start, measured), label=START)}
    agents: dict[Member, ArtifactRef] = {}
    for arm in (TRAINED, PLACEBO) if cfg.placebo else (TRAINED,):
        for seed in cfg.seeds:
            member, settings = Member(arm, seed), cfg.trained(seed, placebo=arm == PLACEBO)
            agents[member] = run.stage(train_agent, settings, AgentInputs(start, environment), label=member.name)
            played[member] = run.stage(play, cfg.play, PlayInputs(agents[member], measured), label=member.name)
    require_rollout_engine("agent.rollout", cfg.agent.rollout, cfg.runtime, run, agents.values())
    title = f"Agents in {cfg.environment} from {short_name(cfg.model)}"
    behind = ReportAgentsInputs(measured, played, agents, against, examples)
    return run.stage(report_agents, ReportAgents(title=title), behind)


def _check_rules(cfg: RlFlowConfig, trained: EnvironmentSpec, measured: EnvironmentSpec) -> None:
    """Raises InputError for a limit of turns that the environment's own comes before, and for two kinds of turns."""
    for field, rules, spec in (("agent", cfg.agent.rules, trained), ("play", cfg.play.rules, measured)):
        if rules.max_turns is not None and rules.max_turns > spec.max_turns:
            raise InputError(
                f"{field}.rules.max_turns: {spec.name} ends after {spec.max_turns} turns, so {rules.max_turns} change "
                "nothing; lower it, or leave it out"
            )
    if trained.takes_text != measured.takes_text:
        raise InputError(
            f"play_environment: {measured.name} is not played as {trained.name} is, in which agents learn: one takes "
            "whole texts, the other actions"
        )


def _check_estimator(cfg: RlFlowConfig, spec: EnvironmentSpec) -> None:
    """Raises InputError for gigpo where the environment tells no states, by the look of one instance."""
    if cfg.agent.estimator is Estimator.GIGPO:
        _, info = spec.open().reset(0)
        check_states([info.get("state")])


def _is_standard(model: Model, store: ArtifactStore) -> bool:
    """Whether a model is known to have no latent tokens; of one that is not there yet, or an adapter, nothing is."""
    if isinstance(model, ModelInput):
        adapter = model.adapter()
        return DualVocabulary.find(model.open() if adapter is None else adapter.base.directory) is None
    artifact = store.get(model.stage, model.fingerprint)
    names = set() if artifact is None else {Path(file.path).name for file in artifact.manifest.content.files}
    return "config.json" in names and VOCABULARY_FILE not in names


def format_start(
    cfg: RlFlowConfig, run: Run, environment: EnvironmentInput, spec: EnvironmentSpec
) -> tuple[Model, ArtifactRef | None]:
    """The model that agents start from, the one that was named after it has learned how a turn is written; and what
    it learned that from.

    Raises InputError where the environment has no format to learn.
    """
    model = find_model(cfg.model, run.store, cfg.tracking, cfg.chat)
    if cfg.agent.latent_only and _is_standard(model, run.store):
        raise InputError(f"agent.latent_only: needs a dual model, and {cfg.model} has no latent tokens; leave it false")
    if cfg.format_start is None:
        return model, None
    if spec.takes_text:
        raise InputError(
            f"format_start: {cfg.environment} takes whole texts, so it has no format; set format_start to null"
        )
    if not can_be_random(spec, 0):
        raise InputError(
            f"format_start: {cfg.environment} lists no legal actions and has no examples to learn the format from; set "
            "format_start to null"
        )
    examples = run.stage(write_legal_play, cfg.format_start.play, LegalPlayInputs(model, environment))
    return run.stage(train, cfg.format_start.train, TrainInputs(model, examples), label="format"), examples


ENTRY = FlowEntry("rl", RlFlowConfig, compose, rl, show, conclude)
