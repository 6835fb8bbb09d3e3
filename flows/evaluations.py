"""One evaluation of one model at one ratio: what the main flow and the re-evaluation ask for alike."""

from __future__ import annotations

from latent_core.config.tokenskip import EvaluateConfig
from tasks.evaluate import EVALUATE, EvaluateCondition
from tasks.run import Input, Pending, Run
from tasks.stage import ProblemsInput


def evaluated(
    settings: EvaluateConfig, run: Run, model: Input, problems: ProblemsInput, ratio: float, label: str
) -> Pending:
    condition = EvaluateCondition(sampling=settings.sampling, questions=settings.questions, ratio=ratio)
    rows = settings.questions * settings.sampling.samples
    return run.stage(EVALUATE, condition, {"model": model, "problems": problems}, label=label, rows=rows)
