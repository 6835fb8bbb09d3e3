"""Evaluations of one model: at every ratio, and the baselines of an untrained one."""

from __future__ import annotations

from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.methods import EvaluateOnceConfig
from latent_core.config.tokenskip import Baseline, EvaluateConfig, EvaluateWithBaseConfig, Prompting, TextFormat
from tasks.contamination import CONTAMINATION, CheckContamination
from tasks.evaluate import EVALUATE, TRUNCATE, EvaluateCondition, TruncateCondition
from tasks.report import TRAINED, UNTRAINED, evaluation_role
from tasks.run import Input, Pending, Run
from tasks.stage import ProblemsInput

Evaluations = dict[str, Pending]  # by their role in the report


def evaluated_at_ratios(
    settings: EvaluateConfig,
    run: Run,
    model: Input,
    problems: ProblemsInput,
    name: str,
) -> Evaluations:
    """A model under the condition it was trained to hear, at every ratio of the settings."""
    return {
        evaluation_role(name, f"ratio {ratio:g}"): _evaluated(
            settings, run, model, problems, ratio, f"{name} {ratio:g}"
        )
        for ratio in settings.ratios
    }


def evaluated_once(
    settings: EvaluateOnceConfig,
    run: Run,
    model: Input,
    problems: ProblemsInput,
    name: str,
    text_format: TextFormat = TextFormat.BOXED,
) -> Evaluations:
    """A model that hears no ratio, in the format it was trained to write."""
    evaluated = _evaluated(settings, run, model, problems, 1.0, name, text_format=text_format)
    return {evaluation_role(name, TRAINED): evaluated}


def untrained_and_baselines(
    settings: EvaluateWithBaseConfig, run: Run, model: Input, problems: ProblemsInput, name: str = "base"
) -> Evaluations:
    """The base model as it is, and the baselines that the settings ask for."""
    untrained = _evaluated(settings, run, model, problems, 1.0, name)
    found = {evaluation_role(name, UNTRAINED): untrained}
    shorter = [ratio for ratio in settings.ratios if ratio < 1]
    for baseline in settings.baselines:
        text = baseline.value.replace("_", " ")
        if baseline is Baseline.TRUNCATE:
            inputs: dict[str, Input] = {"evaluation": untrained, "model": model, "problems": problems}
            for ratio in shorter:
                label = f"{name} {ratio:g}"
                cut = run.stage(TRUNCATE, TruncateCondition(ratio=ratio), inputs, label=label)
                found[evaluation_role(name, f"{text} {ratio:g}")] = cut
            continue
        prompting = Prompting(baseline.value)
        for ratio in shorter if prompting.takes_ratio else [1.0]:
            condition = f"{text} {ratio:g}" if prompting.takes_ratio else text
            found[evaluation_role(name, condition)] = _evaluated(
                settings, run, model, problems, ratio, f"{name} {condition}", prompting
            )
    return found


def contamination(run: Run, benchmark: BenchmarkConfig, questions: int, training: int) -> Pending:
    """Whether the first `training` questions that a run learns from hold any of the `questions` it is tested on."""
    splits: dict[str, Input] = {
        "test": ProblemsInput.find(benchmark, "test"),
        "training": ProblemsInput.find(benchmark, "train"),
    }
    return run.stage(CONTAMINATION, CheckContamination(questions=questions, training=training), splits)


def _evaluated(
    settings: EvaluateConfig,
    run: Run,
    model: Input,
    problems: ProblemsInput,
    ratio: float,
    label: str,
    prompting: Prompting = Prompting.RATIO,
    text_format: TextFormat = TextFormat.BOXED,
) -> Pending:
    condition = EvaluateCondition(
        sampling=settings.sampling,
        questions=settings.questions,
        ratio=ratio,
        prompting=prompting,
        text_format=text_format,
        metrics=settings.metrics,
    )
    rows = settings.questions * settings.sampling.samples
    return run.stage(EVALUATE, condition, {"model": model, "problems": problems}, label=label, rows=rows)
