"""Evaluations of one model: at every ratio, and the baselines of an untrained one."""

from __future__ import annotations

from collections.abc import Mapping

from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.evaluate import Baseline, EvaluateConfig, EvaluateOnceConfig, EvaluateWithBaseConfig
from latent_core.config.prompting import Prompting, TextFormat
from latent_core.store import ArtifactRef
from tasks.contamination import CheckContamination, ContaminationInputs, check_contamination
from tasks.evaluate import EvaluateCondition, EvaluateInputs, TruncateCondition, TruncateInputs, evaluate, truncate
from tasks.inputs import Model, ProblemsInput
from tasks.report import TRAINED, UNTRAINED, evaluation_role
from tasks.run.protocol import Run

Evaluations = dict[str, ArtifactRef]  # by their role in the report


def evaluated_at_ratios(
    settings: EvaluateConfig,
    run: Run,
    model: Model,
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
    model: Model,
    problems: ProblemsInput,
    name: str,
    text_format: TextFormat = TextFormat.BOXED,
) -> Evaluations:
    """A model that hears no ratio, in the format it was trained to write."""
    condition = {TRAINED: _condition(settings, 1.0, text_format=text_format)}
    return _evaluated(settings, run, model, problems, name, condition, {TRAINED: name})


def untrained_and_baselines(
    settings: EvaluateWithBaseConfig, run: Run, model: Model, problems: ProblemsInput, name: str = "base"
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
        inputs = TruncateInputs(untrained, model, problems)
        for ratio in shorter:
            cut = run.stage(truncate, TruncateCondition(ratio=ratio), inputs, label=f"{name} {ratio:g}")
            found[evaluation_role(name, _name(Baseline.TRUNCATE, ratio))] = cut
    return found


def contamination(run: Run, benchmark: BenchmarkConfig, questions: int, training: int) -> ArtifactRef:
    """Whether the first `training` questions that a run learns from hold any of the `questions` it is tested on."""
    splits = ContaminationInputs(ProblemsInput.find(benchmark, "test"), ProblemsInput.find(benchmark, "train"))
    return run.stage(check_contamination, CheckContamination(questions=questions, training=training), splits)


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
    model: Model,
    problems: ProblemsInput,
    name: str,
    conditions: Mapping[str, EvaluateCondition],
    labels: Mapping[str, str],
) -> Evaluations:
    """One evaluation a condition, in joined passes where the settings say so."""
    inputs = EvaluateInputs(model, problems)
    rows = settings.questions * settings.sampling.samples
    labelled = {labels[condition]: config for condition, config in conditions.items()}
    if settings.joins:
        pending = run.stages(evaluate, labelled, inputs, rows=rows)
    else:
        pending = [run.stage(evaluate, config, inputs, label=label, rows=rows) for label, config in labelled.items()]
    return {evaluation_role(name, condition): done for condition, done in zip(conditions, pending, strict=True)}
