"""Evaluation of one model over ratios: `latent eval`, and every night on a schedule."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.evaluations import evaluated_at_ratios
from flows.questions import fitted
from flows.registry import FlowEntry
from flows.results import publish, show
from latent_core.config.reevaluate import ReevaluateConfig
from latent_core.errors import RegressionFound
from latent_core.evaluation.regression import find_regressions
from latent_core.evaluation.scores import Scores, read_scores
from latent_core.identity import fingerprint
from latent_core.store import Artifact, ArtifactRef
from tasks.collect import SAMPLES
from tasks.registry import find_model
from tasks.report import REPORT, ReportConfig, evaluation_refs
from tasks.run import Pending, Run, open_run
from tasks.stage import ProblemsInput

logger = logging.getLogger("latent")
REPORT_TAG = "latent.report"


@flow(name="reevaluate", task_runner=ThreadPoolTaskRunner(), validate_parameters=True)  # type: ignore[arg-type]
def reevaluate(cfg: ReevaluateConfig, force: Sequence[str] = ()) -> dict[str, str]:
    """Evaluate a model at every ratio, report, and fail when it got worse than in its last accepted evaluation.

    Args:
        cfg: The model, the problems and the ratios.
        force: Names of stages to compute again although the store has their results.
    """
    cfg = fitted(cfg)
    with open_run("reevaluate", cfg, force=force) as run:
        report = compose(cfg, run)
        result = publish(run, report)
        check_for_regression(cfg, run, run.artifact(report))
        return result


def compose(cfg: ReevaluateConfig, run: Run) -> Pending:
    """One evaluation per ratio, and the report over them."""
    cfg = fitted(cfg)
    problems = ProblemsInput.find(cfg.benchmark, "test", {"evaluate.questions": cfg.evaluate.questions})
    model = find_model(cfg.model, run.store, cfg.tracking)
    evaluations = evaluated_at_ratios(cfg.evaluate, run, model, problems, "model")
    title = f"{cfg.model} on {cfg.benchmark.name}"
    return run.stage(REPORT, ReportConfig(title=title), evaluations)


def check_for_regression(cfg: ReevaluateConfig, run: Run, report: Artifact) -> None:
    """Compare with the newest earlier run that did not fail; raises RegressionFound, and so this run fails in turn.

    A failed run is never the yardstick, so a model that got worse fails every night until it is mended or accepted by
    `fail_on_regression: false`.
    """
    setting = {
        "benchmark": ProblemsInput.find(cfg.benchmark, "test").fingerprint,
        "questions": cfg.evaluate.questions,
        "sampling": cfg.evaluate.sampling,
    }
    key = {"latent.model": cfg.model, "latent.setting": fingerprint("reevaluation", 1, setting, {})}
    before = run.earlier(key)
    run.tag({**key, REPORT_TAG: report.ref.fingerprint})
    if before is None or before[REPORT_TAG] == report.ref.fingerprint:
        return
    last = run.store.get(report.ref.stage, before[REPORT_TAG])
    if last is None:
        logger.warning("the last accepted report is not in %s any more: nothing to compare with", run.store.root)
        return
    earlier, now = evaluation_refs(last), evaluation_refs(report)
    pairs = {
        role.rpartition("/")[2]: (_scores(run, earlier[role]), _scores(run, now[role]))
        for role in now
        if role in earlier and now[role] != earlier[role]
    }
    regressions = find_regressions(pairs)
    if not regressions:
        return
    message = f"{cfg.model} got worse since its last accepted evaluation: " + "; ".join(
        regression.line() for regression in regressions
    )
    if cfg.fail_on_regression:
        raise RegressionFound(message)
    logger.warning("%s (accepted by fail_on_regression: false)", message)


def _scores(run: Run, ref: ArtifactRef) -> Scores:
    return read_scores(run.store.require(ref).rows_of(SAMPLES))


ENTRY = FlowEntry(ReevaluateConfig, partial(open_run, "reevaluate"), compose, reevaluate, show)
