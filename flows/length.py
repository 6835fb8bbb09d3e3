"""Rewards that ask for a length against their controls, from one start model or two, over several seeds; one report.

An arm is what the flow `grpo` would train with the same settings. Problems, cap, ratios and seeds are the same for all
arms; the reward is different in each. The start model itself is an arm, and what lengths are measured by.
"""

from __future__ import annotations

from collections.abc import Sequence

from flows.compare import show
from flows.launch.registry import FlowEntry
from flows.parts.engines import require_rollout_engine
from flows.parts.evaluations import Evaluations, contamination, evaluated_at_ratios
from flows.parts.lengths import measured_lengths
from flows.parts.publish import publish
from flows.parts.questions import fitted
from flows.parts.ratios import PLAIN, check_asked, ratio_tokens_of, trained_ratios
from latent_core.config.length_arms import LengthArm, LengthArmsConfig
from latent_core.evaluation.arm_comparisons import Pair
from latent_core.evaluation.condition import BASE, Condition, Kind, seeded
from latent_core.store import ArtifactRef
from tasks.compare_arms import CompareArms, CompareArmsInputs, ComparisonFamily, compare_arms
from tasks.grpo import GrpoInputs, train_policy
from tasks.inputs import ProblemsInput
from tasks.run.execution import open_run
from tasks.run.protocol import Run
from tasks.tracking.models import find_model

START = "start"
_CONTROLS = (LengthArm.PLAIN, LengthArm.PLACEBO)


def length(cfg: LengthArmsConfig, force: Sequence[str] = ()) -> dict[str, str]:
    """Train every arm from every start model with every seed, and compare them.

    Args:
        cfg: The run, one section per stage.
        force: Names of stages to compute again although the store has their results.
    """
    with open_run("length", cfg, force=force) as run:
        return publish(run, compose(cfg, run))


def compose(cfg: LengthArmsConfig, run: Run) -> ArtifactRef:
    """The stages and how they hang together; returns the report."""
    cfg = fitted(cfg, run)
    train_split = ProblemsInput.find(cfg.benchmark, "train", {"grpo.questions": cfg.grpo.questions})
    test_split = ProblemsInput.find(cfg.benchmark, "test", {"evaluate.questions": cfg.evaluate.questions})
    known = frozenset(cfg.grpo.ratios) | PLAIN
    evaluations: Evaluations = {}
    models: dict[str, ArtifactRef] = {}
    for form, spec in cfg.models.named().items():
        start = find_model(spec, run.store, cfg.tracking, cfg.chat, f"models.{form}")
        tokens = ratio_tokens_of(start, run.store)
        check_asked(tokens, "grpo.ratios", cfg.grpo.ratios)
        check_asked(tokens, "evaluate.ratios", cfg.evaluate.ratios)
        known |= trained_ratios(start, run.store) or PLAIN
        before = evaluated_at_ratios(cfg.evaluate, run, start, test_split, arm_name(form, START))
        plain = Condition(arm_name(form, START), Kind.RATIO, 1.0)
        evaluations.setdefault(Condition(BASE, Kind.UNTRAINED, 1.0), before[plain])
        for seed in cfg.seeds:  # the same model whatever the seed, so that arms are paired with it seed by seed
            evaluations |= {
                Condition(condition.model, condition.kind, condition.ratio, seed): ref
                for condition, ref in before.items()
            }
        for arm in cfg.arms:
            name = arm_name(form, arm)
            for seed, settings in cfg.trainings(arm).items():
                references = measured_lengths(settings, run, start, train_split, form)
                inputs, label = GrpoInputs(start, train_split, references), seeded(name, seed)
                models[label] = run.stage(train_policy, settings, inputs, label=label, rows=settings.completions)
                evaluations |= evaluated_at_ratios(cfg.evaluate, run, models[label], test_split, name, seed=seed)
    require_rollout_engine("grpo.rollout", cfg.grpo.rollout, cfg.runtime, run, models.values())
    checked = contamination(run, cfg.benchmark, cfg.evaluate.questions, cfg.grpo.questions)
    page = CompareArms(
        title=f"Lengths asked for over {len(cfg.seeds)} seeds on {cfg.benchmark.name}",
        families=families(cfg),
        margin=cfg.margin,
        resamples=cfg.resamples,
        starts=tuple(
            Pair(arm_name(form, arm), arm_name(form, START))
            for form in cfg.models.named()
            for arm in (START, *cfg.arms)
        ),
        trained_ratios=tuple(sorted(known & set(cfg.evaluate.ratios), reverse=True)),
    )
    return run.stage(compare_arms, page, CompareArmsInputs(evaluations, models, {}, {}, checked))


def arm_name(form: str, arm: str) -> str:
    """What an arm of one start model is called, e.g. dual gated."""
    return f"{form} {arm}"


def families(cfg: LengthArmsConfig) -> tuple[ComparisonFamily, ...]:
    """Who is compared with whom: a start model's arms with it and with the controls, and dual arms with standard ones.

    How well lengths are kept is compared where one model measures them, within a start model. Each family's p-values
    are corrected together.
    """
    found = []
    for form in cfg.models.named():
        trained = [Pair(arm_name(form, arm), arm_name(form, START)) for arm in cfg.arms]
        asked = [
            Pair(arm_name(form, arm), arm_name(form, control))
            for control in _CONTROLS
            for arm in cfg.arms
            if control in cfg.arms and arm not in _CONTROLS
        ]
        found.append(ComparisonFamily(title=form.capitalize(), pairs=(*asked, *trained), lengths=True))
    if len(cfg.models.named()) > 1:
        both = tuple(Pair(arm_name("dual", arm), arm_name("standard", arm)) for arm in (START, *cfg.arms))
        found.append(ComparisonFamily(title="Dual against standard", pairs=both))
    return tuple(found)


ENTRY = FlowEntry("length", LengthArmsConfig, compose, length, show)
