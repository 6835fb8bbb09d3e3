"""Evaluation of one model over ratios: `latent eval`, and every night on a schedule."""

from __future__ import annotations

import time
from collections.abc import Sequence

from flows.launch.registry import FlowEntry
from flows.parts.evaluations import evaluated_at_ratios
from flows.parts.places import places
from flows.parts.publish import publish, show
from flows.parts.questions import fitted_questions
from flows.parts.ratios import check_asked, ratio_tokens_of, trained_ratios, warn_of_untrained
from latent_core.config.prompting import TextFormat
from latent_core.config.reevaluate import Evaluated, ReevaluateConfig
from latent_core.errors import InputError, RegressionFound
from latent_core.evaluation.condition import Condition
from latent_core.identity import fingerprint
from latent_core.report.names import condition_name
from latent_core.store import Artifact, ArtifactRef, DamagedError
from tasks.compare import (
    COMPARISON_MARKDOWN,
    CompareEvaluations,
    CompareEvaluationsInputs,
    compare_evaluations,
    fallen,
)
from tasks.evaluations import evaluations_behind
from tasks.inputs import ProblemsInput
from tasks.report import ReportConfig, ReportInputs, write_report
from tasks.run.execution import open_run
from tasks.run.protocol import Run
from tasks.tracking.following import first_evaluation
from tasks.tracking.journal import Journal, last_accepted
from tasks.tracking.models import FoundModel, find_version

MODEL_TAG, VERSION_TAG, SETTING_TAG, REPORT_TAG = "latent.model", "latent.version", "latent.setting", "latent.report"


def reevaluate(cfg: ReevaluateConfig, force: Sequence[str] = ()) -> dict[str, str]:
    """Evaluate a model at every ratio, report, and fail when it got worse than in its last accepted evaluation.

    Args:
        cfg: The model; the problems and the ratios, where they are not to be what it was first evaluated for.
        force: Names of stages to compute again although the store has their results.
    """
    with open_run("reevaluate", cfg, force=force) as run:
        report = compose(cfg, run)
        result = publish(run, report)
        _publish_comparison(run)
        conclude(cfg, run, run.artifact(report))
        return result


def compose(cfg: ReevaluateConfig, run: Run) -> ArtifactRef:
    """One evaluation per ratio, the report over them, and what became of each since the last accepted one."""
    model, asked = settled(cfg, run)
    wanted = {"evaluate.questions": asked.evaluate.questions}
    problems = ProblemsInput.find(asked.benchmark, "test", wanted)
    check_asked(
        ratio_tokens_of(model.parent, run.store), "evaluate.ratios", asked.evaluate.ratios, asked.evaluate.auto_ratio
    )
    warn_of_untrained(run, asked.evaluate.ratios, trained_ratios(model.parent, run.store), cfg.model)
    run.tag({MODEL_TAG: cfg.model, SETTING_TAG: _setting(asked, problems), VERSION_TAG: model.words})
    evaluations = evaluated_at_ratios(
        asked.evaluate, run, model.parent, problems, "model", text_format=asked.text_format
    )
    title = f"{cfg.model} on {asked.benchmark.name}"
    report = run.stage(write_report, ReportConfig(title=title, places=places(cfg.tracking)), ReportInputs(evaluations))
    accepted = _accepted_evaluations(run)
    before = {condition: ref for condition, ref in accepted.items() if evaluations.get(condition, ref) != ref}
    if before:
        inputs = CompareEvaluationsInputs(before, {condition: evaluations[condition] for condition in before})
        run.stage(compare_evaluations, CompareEvaluations(), inputs)
    return report


def settled(cfg: ReevaluateConfig, run: Run) -> tuple[FoundModel, Evaluated]:
    """The model, and what it is evaluated for, which the run notes.

    Raises InputError where neither the parameters nor the store says that of a model of the store.
    """
    model = find_version(cfg.model, run.store, cfg.tracking, cfg.chat)
    is_stored = isinstance(model.parent, ArtifactRef)
    first = first_evaluation(run.store, model.parent) if isinstance(model.parent, ArtifactRef) else None
    if is_stored and first is None and cfg.benchmark is None:
        raise InputError(
            f"benchmark: {run.store.root} has no evaluation that says what {cfg.model}, {model.words}, is for; "
            "give benchmark (and evaluate.questions, .ratios and .sampling where the defaults do not do)"
        )
    asked = cfg.settled(None if first is None else first.evaluated)
    there = fitted_questions(asked.benchmark, "evaluate", asked.evaluate.questions, run)
    asked = asked._replace(evaluate=asked.evaluate.model_copy(update={"questions": there}))
    given = ["benchmark"] * (cfg.benchmark is not None) + [
        f"evaluate.{name}" for name in cfg.evaluate.given() if name != "joined"
    ]
    rest = "by default" if first is None else f"as it was evaluated first ({first.ref})"
    evaluate, sampling = asked.evaluate, asked.evaluate.sampling
    ratios = ", ".join([*(f"{ratio:g}" for ratio in evaluate.ratios), *["auto"] * evaluate.auto_ratio])
    which = "" if model.words == cfg.model else f" is {model.words}"
    source = f"the parameters say {', '.join(given)}, the rest is {rest}" if given else f"all {rest}"
    run.note(
        f"{cfg.model}{which}: {evaluate.questions} questions of {asked.benchmark.name} at ratios "
        f"{ratios}, temperature {sampling.temperature:g}, at most "
        f"{sampling.max_new_tokens} new tokens, {sampling.samples} a question; {source}"
    )
    return model, asked


def conclude(cfg: ReevaluateConfig, run: Run, report: Artifact) -> None:
    """Say what fell since the newest run that did not fail; raises RegressionFound, and so this run fails in turn.

    A failed run is never the yardstick, so a model that got worse fails every night until it is mended, or accepted by
    a run with `fail_on_regression: false`.
    """
    yardstick = _yardstick(run)
    run.tag({REPORT_TAG: report.ref.fingerprint})
    if yardstick is None or yardstick.tags.get(REPORT_TAG) != report.ref.fingerprint:
        run.lacks_record()
    message = None if yardstick is None else _what_fell(cfg, run, yardstick)
    if message is not None and cfg.fail_on_regression:
        raise RegressionFound(message)
    if message is not None:
        later = "compared with this one" if cfg.tracking.enabled else "not, as tracking is off: nothing was recorded"
        run.warn(f"{message}. Accepted by fail_on_regression: false; later runs are {later}")


def _setting(asked: Evaluated, problems: ProblemsInput) -> str:
    """What two evaluations must have in common to be compared; ratios are compared one by one."""
    evaluate = asked.evaluate
    setting = {"benchmark": problems.fingerprint, "questions": evaluate.questions, "sampling": evaluate.sampling}
    if asked.text_format is not TextFormat.BOXED:
        setting["text_format"] = asked.text_format
    return fingerprint("reevaluation", 1, setting, {})


def _yardstick(run: Run) -> Journal | None:
    return last_accepted(run.store, run.name, {name: run.tags[name] for name in (MODEL_TAG, SETTING_TAG)})


def _accepted_evaluations(run: Run) -> dict[Condition, ArtifactRef]:
    """By condition, what the yardstick's report stands on, as its sealed manifest says."""
    yardstick = _yardstick(run)
    if yardstick is None:
        return {}
    report = _if_there(run, ArtifactRef(write_report.name, yardstick.tags[REPORT_TAG]))
    found = {} if report is None else evaluations_behind(report)
    there = {
        condition: ref
        for condition, parent in found.items()
        if (ref := parent.ref) is not None and _if_there(run, ref) is not None
    }
    if report is None or len(there) < len(found):
        run.note(
            f"of the last accepted evaluation (run {yardstick.run}) {run.store.root} has not all any more: "
            f"{', '.join(map(condition_name, there)) or 'nothing'} is compared"
        )
    return there


def _if_there(run: Run, ref: ArtifactRef) -> Artifact | None:
    """An artifact of the yardstick; None when it was deleted. Raises DamagedError: a verdict needs it as it was."""
    try:
        return run.store.require(ref)
    except FileNotFoundError:
        return None
    except DamagedError as error:
        raise DamagedError(
            f"what was accepted last cannot be compared with: {error}; evaluate that model again, or delete "
            f"{run.store.uri(ref)}, and the evaluation of now is accepted as the first"
        ) from error


def _what_fell(cfg: ReevaluateConfig, run: Run, yardstick: Journal) -> str | None:
    """Both versions, the yardstick's run and each condition that fell, in a sentence; None where none did."""
    comparisons = run.results_of(compare_evaluations)
    if not comparisons:
        return None
    comparison = run.store.require(comparisons[-1])
    lines = fallen(comparison)
    if not lines:
        return None
    date = time.strftime("%Y-%m-%d %H:%M", time.gmtime(yardstick.started))
    return (
        f"{cfg.model} got worse since its last accepted evaluation: {'; '.join(lines)}. Before: "
        f"{yardstick.tags.get(VERSION_TAG, 'a version that its run did not record')}; now: {run.tags[VERSION_TAG]}. "
        f"Compared with run {yardstick.run} of {date} UTC, in {comparison.ref}"
    )


def _publish_comparison(run: Run) -> None:
    """The comparison in Prefect's Artifacts tab."""
    from prefect.artifacts import create_markdown_artifact

    for ref in run.results_of(compare_evaluations):
        create_markdown_artifact(
            key=f"{run.name}-comparison",
            markdown=run.store.require(ref).read_bytes(COMPARISON_MARKDOWN).decode(),
            description="What became of each condition since the last accepted evaluation",
        )


ENTRY = FlowEntry("reevaluate", ReevaluateConfig, compose, reevaluate, show, conclude)
