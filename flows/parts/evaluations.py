"""Evaluations of one model: at every ratio, and the baselines of an untrained one."""

from __future__ import annotations

from collections.abc import Mapping

from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.methods import EvaluateOnceConfig
from latent_core.config.tokenskip import Baseline, EvaluateConfig, EvaluateWithBaseConfig, Prompting, TextFormat
from tasks.contamination import CONTAMINATION, CheckContamination
from tasks.evaluate import EVALUATE, TRUNCATE, EvaluateCondition, TruncateCondition
from tasks.report import TRAINED, UNTRAINED, evaluation_role
from tasks.run.protocol import Input, Pending, Run
from tasks.stage import ProblemsInput

Evaluations = dict[str, Pending]  # by their role in the report


def evaluated_at_ratios(
    settings: EvaluateConfig,
    run: Run,
    model: Input,
    problems: ProblemsInput,
    name: str,
    kind: str = "ratio",
    text_format: TextFormat = TextFormat.BOXED,
) -> Evaluations:
    """A model under the condition it was trained to hear, at every ratio of the settings.

    Kinds are stages of one model's training: all are compared with the first that was evaluated at ratio 1.0.
    """
    conditions = {
        f"{kind} {ratio:g}": _condition(settings, ratio, text_format=text_format) for ratio in settings.ratios
    }
    labels = {condition: f"{name} {condition.removeprefix('ratio ')}" for condition in conditions}
    return _evaluated(settings, run, model, problems, name, conditions, labels)


def evaluated_once(
    settings: EvaluateOnceConfig,
    run: Run,
    model: Input,
    problems: ProblemsInput,
    name: str,
    text_format: TextFormat = TextFormat.BOXED,
) -> Evaluations:
    """A model that hears no ratio, in the format it was trained to write."""
    condition = {TRAINED: _condition(settings, 1.0, text_format=text_format)}
    return _evaluated(settings, run, model, problems, name, condition, {TRAINED: name})


def untrained_and_baselines(
    settings: EvaluateWithBaseConfig, run: Run, model: Input, problems: ProblemsInput, name: str = "base"
) -> Evaluations:
    """The base model as it is, and the baselines that the settings ask for."""
    conditions = {UNTRAINED: _condition(settings, 1.0)}
    shorter = [ratio for ratio in settings.ratios if ratio < 1]
    for baseline in settings.baselines:
        if baseline is not Baseline.TRUNCATE:
            prompting = Prompting(baseline.value)
            for ratio in shorter if prompting.takes_ratio else [1.0]:
                conditions[_name(baseline, ratio)] = _condition(settings, ratio, prompting)
    labels = {condition: f"{name} {condition}" for condition in conditions} | {UNTRAINED: name}
    found = _evaluated(settings, run, model, problems, name, conditions, labels)
    if Baseline.TRUNCATE in settings.baselines:
        untrained = found[evaluation_role(name, UNTRAINED)]
        inputs: dict[str, Input] = {"evaluation": untrained, "model": model, "problems": problems}
        for ratio in shorter:
            cut = run.stage(TRUNCATE, TruncateCondition(ratio=ratio), inputs, label=f"{name} {ratio:g}")
            found[evaluation_role(name, _name(Baseline.TRUNCATE, ratio))] = cut
    return found


def contamination(run: Run, benchmark: BenchmarkConfig, questions: int, training: int) -> Pending:
    """Whether the first `training` questions that a run learns from hold any of the `questions` it is tested on."""
    splits: dict[str, Input] = {
        "test": ProblemsInput.find(benchmark, "test"),
        "training": ProblemsInput.find(benchmark, "train"),
    }
    return run.stage(CONTAMINATION, CheckContamination(questions=questions, training=training), splits)


def _name(baseline: Baseline, ratio: float) -> str:
    text = baseline.value.replace("_", " ")
    takes_ratio = baseline is Baseline.TRUNCATE or Prompting(baseline.value).takes_ratio
    return f"{text} {ratio:g}" if takes_ratio else text


def _condition(
    settings: EvaluateConfig,
    ratio: float,
    prompting: Prompting = Prompting.RATIO,
    text_format: TextFormat = TextFormat.BOXED,
) -> EvaluateCondition:
    return EvaluateCondition(
        sampling=settings.sampling,
        questions=settings.questions,
        ratio=ratio,
        prompting=prompting,
        text_format=text_format,
        metrics=settings.metrics,
    )


def _evaluated(
    settings: EvaluateConfig,
    run: Run,
    model: Input,
    problems: ProblemsInput,
    name: str,
    conditions: Mapping[str, EvaluateCondition],
    labels: Mapping[str, str],
) -> Evaluations:
    """One evaluation a condition, in joined passes where the settings say so."""
    inputs: dict[str, Input] = {"model": model, "problems": problems}
    rows = settings.questions * settings.sampling.samples
    labelled = {labels[condition]: config for condition, config in conditions.items()}
    if settings.joins:
        pending = run.stages(EVALUATE, labelled, inputs, rows=rows)
    else:
        pending = [run.stage(EVALUATE, config, inputs, label=label, rows=rows) for label, config in labelled.items()]
    return {evaluation_role(name, condition): done for condition, done in zip(conditions, pending, strict=True)}
