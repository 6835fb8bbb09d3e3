"""Evaluations of one model: at every ratio, and the baselines of an untrained one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.evaluate import (
    Baseline,
    EvaluateConfig,
    EvaluateOnceConfig,
    EvaluateVariantsConfig,
    EvaluateWithBaseConfig,
    Intervention,
)
from latent_core.config.prompting import Prompting, TextFormat
from latent_core.config.ratio_form import AUTO, AskedRatio
from latent_core.config.sampling import LogprobsOf
from latent_core.evaluation.condition import BASE, Condition, Kind
from latent_core.report.names import label
from latent_core.store import ArtifactRef
from tasks.contamination import CheckContamination, ContaminationInputs, check_contamination
from tasks.evaluate import EvaluateCondition, EvaluateInputs, TruncateCondition, TruncateInputs, evaluate, truncate
from tasks.inputs import Model, ProblemsInput
from tasks.intervene import InterveneCondition, InterveneInputs, intervene
from tasks.run.protocol import Run

Evaluations = dict[Condition, ArtifactRef]
_AUTO = {Kind.RATIO: Kind.AUTO, Kind.START: Kind.AUTO_START, Kind.GRPO: Kind.AUTO_GRPO}


def evaluated_at_ratios(
    settings: EvaluateConfig,
    run: Run,
    model: Model,
    problems: ProblemsInput,
    name: str,
    kind: Kind = Kind.RATIO,
    text_format: TextFormat = TextFormat.BOXED,
    seed: int | None = None,
) -> Evaluations:
    """A model prompted as it was trained, at every ratio of the settings, and at its own where they say so.

    Kinds are stages of one model's training: all are compared with the first that was evaluated at ratio 1.0.
    """
    conditions = {
        Condition(name, kind, ratio, seed): _condition(settings, ratio, text_format=text_format)
        for ratio in settings.ratios
    }
    if settings.auto_ratio:
        conditions[Condition(name, _AUTO[kind], seed=seed)] = _condition(settings, AUTO, text_format=text_format)
    return _evaluated(settings, run, model, problems, conditions)


def intervened(
    settings: EvaluateVariantsConfig, run: Run, model: Model, problems: ProblemsInput, evaluations: Evaluations
) -> Evaluations:
    """A model's evaluations at the ratios of interventions, answered again after each of them."""
    ratios = settings.ratios if settings.intervention_ratios is None else settings.intervention_ratios
    none_kept = {"logprobs": False, "logprobs_of": LogprobsOf.MODEL}
    greedy = settings.sampling.model_copy(update={"temperature": 0.0, "samples": 1, **none_kept})
    rows = settings.questions * settings.sampling.samples
    found: Evaluations = {}
    for intervention in settings.interventions:
        for condition, evaluation in evaluations.items():
            if condition.ratio not in ratios:
                continue
            replaced = replace(condition, kind=_REPLACED[intervention])
            config = InterveneCondition(intervention=intervention, sampling=greedy)
            inputs = InterveneInputs(evaluation, model, problems)
            found[replaced] = run.stage(intervene, config, inputs, label=label(replaced), rows=rows)
    return found


_REPLACED = {
    Intervention.OWN: Kind.OWN_REASONING,
    Intervention.EMPTY: Kind.EMPTY_REASONING,
    Intervention.RANDOM: Kind.RANDOM_REASONING,
    Intervention.SWAP: Kind.SWAPPED_REASONING,
}


def evaluated_once(
    settings: EvaluateOnceConfig,
    run: Run,
    model: Model,
    problems: ProblemsInput,
    name: str,
    text_format: TextFormat = TextFormat.BOXED,
) -> Evaluations:
    """A model that was not trained on ratios, in the format it was trained to write."""
    conditions = {Condition(name, Kind.TRAINED): _condition(settings, 1.0, text_format=text_format)}
    return _evaluated(settings, run, model, problems, conditions)


def untrained_and_baselines(
    settings: EvaluateWithBaseConfig, run: Run, model: Model, problems: ProblemsInput
) -> Evaluations:
    """The base model as it is, and the baselines of the settings."""
    plain = Condition(BASE, Kind.UNTRAINED, 1.0)
    conditions = {plain: _condition(settings, 1.0)}
    shorter = [ratio for ratio in settings.ratios if ratio < 1]
    for baseline in settings.baselines:
        if baseline is not Baseline.TRUNCATE:
            kind, prompting = Kind[baseline.name], Prompting(baseline.value)
            for ratio in shorter if kind.takes_ratio else [None]:
                prompted = _condition(settings, 1.0 if ratio is None else ratio, prompting)
                conditions[Condition(BASE, kind, ratio)] = prompted
    found = _evaluated(settings, run, model, problems, conditions)
    if Baseline.TRUNCATE in settings.baselines:
        inputs = TruncateInputs(found[plain], model, problems)
        for ratio in shorter:
            cut = Condition(BASE, Kind.TRUNCATE, ratio)
            found[cut] = run.stage(truncate, TruncateCondition(ratio=ratio), inputs, label=label(cut))
    return found


def contamination(run: Run, benchmark: BenchmarkConfig, questions: int, learned: int | ArtifactRef) -> ArtifactRef:
    """Whether what a run learns from holds any of the `questions` it is tested on.

    `learned` are so many questions from the start of the training split, or the samples of all questions.
    """
    training = ProblemsInput.find(benchmark, "train") if isinstance(learned, int) else learned
    compared = CheckContamination(questions=questions, training=learned if isinstance(learned, int) else None)
    return run.stage(
        check_contamination, compared, ContaminationInputs(ProblemsInput.find(benchmark, "test"), training)
    )


def _condition(
    settings: EvaluateConfig,
    ratio: AskedRatio,
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
    conditions: Mapping[Condition, EvaluateCondition],
) -> Evaluations:
    """One evaluation a condition, in joined passes where the settings say so."""
    inputs = EvaluateInputs(model, problems)
    rows = settings.questions * settings.sampling.samples
    labelled = {label(condition): config for condition, config in conditions.items()}
    if settings.joins:
        pending = run.stages(evaluate, labelled, inputs, rows=rows)
    else:
        pending = [run.stage(evaluate, config, inputs, label=name, rows=rows) for name, config in labelled.items()]
    return dict(zip(conditions, pending, strict=True))
