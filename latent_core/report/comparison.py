"""What the report of a comparison of arms is made of: measures of every arm, differences of every family."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from latent_core.errors import InputError
from latent_core.evaluation.aes import AES_WEIGHTS, aes
from latent_core.evaluation.arm_comparisons import (
    Difference,
    Matching,
    Pair,
    compare_at_ratios,
    compare_at_tokens,
    compare_on_average,
)
from latent_core.evaluation.arm_measures import ArmMeasures, Spread, Untrained, measure, spread
from latent_core.evaluation.arms import Arm, Point, read_arm
from latent_core.evaluation.asked_lengths import AskedLengths, asked_lengths
from latent_core.evaluation.condition import BASE
from latent_core.evaluation.crossed_bootstrap import Draws, draw
from latent_core.evaluation.deviation_differences import DeviationDifference, compare_deviations
from latent_core.evaluation.multiple import ALPHA
from latent_core.evaluation.scores import Scores
from latent_core.evaluation.summary import SEED, Summary

Row = Mapping[str, Any]
INTERVENTIONS = "Interventions on the reasoning"  # the title of their table
KEPT = "lengths kept"  # how titles of tables end that compare arms by it


@dataclass(frozen=True)
class Family:
    """Pairs whose p-values are corrected together: on average, at equal ratio, and at equal tokens, each by itself.

    `question` is what they answer, for readers. With `lengths` they are also compared by how well they keep the lengths
    they are asked for, corrected by themselves.
    """

    title: str
    pairs: Sequence[Pair]
    question: str = ""
    lengths: bool = False


@dataclass(frozen=True)
class Trained:
    """An arm as it was evaluated. `learn`: parameters that training moves, None where they are not known; `levels`: per
    ratio and level, the accuracy of every seed."""

    arm: Arm
    learn: int | None = None
    levels: Mapping[float, Mapping[str, Sequence[float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Intervened:
    """An arm's evaluations with its reasoning replaced, by seed and ratio. `reasoning` says by what; `follows`: per
    ratio the share of every seed's answers that are those of the question whose reasoning was put there, where one
    was. `is_own`: by the same reasoning, put there as others are."""

    arm: str
    reasoning: str
    scores: Mapping[Point, Scores]
    follows: Mapping[float, Sequence[float]] = field(default_factory=dict)
    is_own: bool = False


@dataclass(frozen=True)
class InterventionResult:
    """One arm at one ratio, answering after reasoning that was put there.

    `evaluated` is its accuracy where it wrote on by itself. `difference` is the accuracy after its own reasoning minus
    this one, both put there in the same way, None for its own; `follows` as in `Intervened`, over seeds.
    """

    arm: str
    reasoning: str
    ratio: float
    evaluated: Spread
    accuracy: Spread
    difference: Difference | None
    follows: Spread | None


@dataclass(frozen=True)
class ArmResult:
    """One arm's results; `levels`: accuracy over seeds per ratio and level."""

    name: str
    seeds: tuple[int, ...]
    ratios: tuple[float, ...]
    questions: int
    learn: int | None
    measures: ArmMeasures
    levels: dict[float, dict[str, Spread]]


class Baseline(NamedTuple):
    """The untrained model under one condition: accuracy, mean reasoning and output tokens, AES by its weights."""

    condition: str
    accuracy: float
    reasoning: float
    output: float
    aes: dict[str, float | None]


@dataclass(frozen=True)
class FamilyResult:
    """One family's differences, each list corrected by itself."""

    title: str
    question: str
    on_average: list[Difference]
    at_ratios: list[Difference]
    at_tokens: list[Difference]


@dataclass(frozen=True)
class LengthFamilyResult:
    """One family's differences in how well lengths are kept, corrected together."""

    title: str
    question: str
    differences: list[DeviationDifference]

    @property
    def table(self) -> str:
        """The title of its table."""
        return f"{self.title}: {KEPT}"


@dataclass(frozen=True)
class Comparison:
    """Everything the report says. `budgets`: reasoning tokens at which arms are compared; `compressions`: rows of what
    each compressor did to the texts; `lengths`: arms against the models they started from, where those are arms too;
    `length_families`: which of them keep their lengths better than others."""

    title: str
    untrained: Untrained
    budgets: tuple[float, ...]
    margin: float
    resamples: int
    arms: list[ArmResult]
    baselines: list[Baseline]
    families: list[FamilyResult]
    interventions: list[InterventionResult]
    compressions: list[Row]
    lengths: list[AskedLengths] = field(default_factory=list)
    length_families: list[LengthFamilyResult] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types: ratios as keys become text, numbers that are not finite null. `lengths` and
        `length_families` only where they were measured. `corrections`: by table, how many differences Holm's
        correction is over."""
        plain = _json(asdict(self))
        assert isinstance(plain, dict)
        for optional in ("lengths", "length_families"):
            if not plain[optional]:
                del plain[optional]
        plain["hypervolume_reference_tokens"] = self.untrained.hypervolume_reference
        plain["corrections"] = {
            title: {"method": "Holm", "alpha": ALPHA, "comparisons": count} for title, count in self.corrected.items()
        }
        return plain

    @property
    def corrected(self) -> dict[str, int]:
        """How many differences were corrected together, by the title of their table."""
        tables = {
            f"{family.title} at {name}": rows
            for family in self.families
            for name, rows in zip(Matching, (family.on_average, family.at_ratios, family.at_tokens), strict=True)
        }
        tables[INTERVENTIONS] = [item.difference for item in self.interventions if item.difference is not None]
        counts = {title: sum(row.adjusted_p is not None for row in rows) for title, rows in tables.items()}
        counts |= {family.table: len(family.differences) for family in self.length_families}
        return {title: count for title, count in counts.items() if count}


def build_comparison(
    title: str,
    trained: Sequence[Trained],
    baselines: Mapping[str, Summary],
    families: Sequence[Family],
    *,
    intervened: Sequence[Intervened] = (),
    compressions: Sequence[Row] = (),
    starts: Sequence[Pair] = (),
    trained_ratios: frozenset[float] = frozenset(),
    margin: float,
    resamples: int,
) -> Comparison:
    """Measure every arm and compare those of every family. `baselines` are the untrained model's, `base` among them.

    `starts` pairs arms with the arm that is the model they started from: lengths are measured by it, and accuracy at
    ratios that are not `trained_ratios` is compared with those around them. Budgets are the requested ratios below 1 of
    the untrained model's reasoning tokens. Raises InputError where arms differ in questions, or paired ones in seeds,
    and where lengths are to be compared of an arm without a start.
    """
    plain = baselines[BASE]
    untrained = Untrained(plain.accuracy.value, plain.reasoning_tokens, plain.tokens.value)
    arms = {item.arm.name: item.arm for item in trained}
    draws = {shape: draw(*shape, resamples=resamples, seed=SEED) for shape in {_shape(arm) for arm in arms.values()}}
    ratios = sorted({ratio for arm in arms.values() for ratio in arm.ratios if ratio < 1}, reverse=True)
    budgets = tuple(ratio * untrained.reasoning for ratio in ratios)
    return Comparison(
        title=title,
        untrained=untrained,
        budgets=budgets,
        margin=margin,
        resamples=resamples,
        arms=[_result(item, untrained, draws[_shape(item.arm)]) for item in trained],
        baselines=[_baseline(name, summary, untrained) for name, summary in baselines.items()],
        families=[_family(family, arms, draws, budgets, margin) for family in families],
        interventions=_interventions(intervened, arms, draws, margin),
        compressions=list(compressions),
        lengths=[
            asked_lengths(arms[name], arms[start], draws[_shape(arms[name])], trained_ratios) for name, start in starts
        ],
        length_families=[_length_family(family, arms, starts, draws) for family in families if family.lengths],
    )


def _shape(arm: Arm) -> tuple[int, int]:
    return len(arm.seeds), len(arm.question_ids)


def _result(item: Trained, untrained: Untrained, draws: Draws) -> ArmResult:
    levels = {
        ratio: {level: spread(accuracies) for level, accuracies in by_level.items()}
        for ratio, by_level in item.levels.items()
    }
    arm = item.arm
    measures = measure(arm, untrained, draws)
    return ArmResult(arm.name, arm.seeds, arm.ratios, len(arm.question_ids), item.learn, measures, levels)


def _baseline(name: str, summary: Summary, untrained: Untrained) -> Baseline:
    accuracy, output = summary.accuracy.value, summary.tokens.value
    scores = {
        weights.name: aes(accuracy, output, untrained.accuracy, untrained.output, weights) for weights in AES_WEIGHTS
    }
    return Baseline(name, accuracy, summary.reasoning_tokens, output, scores)


def _family(
    family: Family,
    arms: Mapping[str, Arm],
    draws: Mapping[tuple[int, int], Draws],
    budgets: Sequence[float],
    margin: float,
) -> FamilyResult:
    drawn = draws[_shape(arms[family.pairs[0].arm])]
    return FamilyResult(
        family.title,
        family.question,
        compare_on_average(family.pairs, arms, drawn, margin=margin),
        compare_at_ratios(family.pairs, arms, drawn, margin=margin),
        compare_at_tokens(family.pairs, arms, drawn, budgets, margin=margin),
    )


def _length_family(
    family: Family, arms: Mapping[str, Arm], starts: Sequence[Pair], draws: Mapping[tuple[int, int], Draws]
) -> LengthFamilyResult:
    measured_by = {name: arms[start] for name, start in starts}
    if lacking := [name for pair in family.pairs for name in pair if name not in measured_by]:
        raise InputError(f"{family.title}: {lacking[0]} has no start model among the arms, so no length is known")
    drawn = draws[_shape(arms[family.pairs[0].arm])]
    return LengthFamilyResult(family.title, family.question, compare_deviations(family.pairs, arms, measured_by, drawn))


def _interventions(
    intervened: Sequence[Intervened],
    arms: Mapping[str, Arm],
    draws: Mapping[tuple[int, int], Draws],
    margin: float,
) -> list[InterventionResult]:
    """Every arm after its own reasoning against the same arm after other reasoning; Holm over all of them.

    Raises InputError for an arm that was not evaluated after its own at a ratio at which it was after other reasoning.
    """
    if not intervened:
        return []
    read = {
        (item.arm, item.reasoning): read_arm(_after(item), item.scores, arms[item.arm].question_ids)
        for item in intervened
    }
    own = {item.arm: read[item.arm, item.reasoning] for item in intervened if item.is_own}
    for item in intervened:
        beside = own[item.arm].ratios if item.arm in own else ()
        if lacking := [ratio for ratio in read[item.arm, item.reasoning].ratios if ratio not in beside]:
            raise InputError(
                f"interventions: {item.arm} was not evaluated after its own reasoning at ratio {lacking[0]:g}; "
                "evaluate it, too"
            )
    pairs = [Pair(own[item.arm].name, _after(item)) for item in intervened if not item.is_own]
    drawn = draws[_shape(arms[intervened[0].arm])]
    named = {arm.name: arm for arm in read.values()}
    compared = {
        (difference.pair.control, difference.ratio): difference
        for difference in compare_at_ratios(pairs, named, drawn, margin=margin)
    }
    found = []
    for item in intervened:
        arm, evaluated = read[item.arm, item.reasoning], arms[item.arm]
        for ratio in arm.ratios:
            before, after = (spread(each.accuracy[:, each.place(ratio)]) for each in (evaluated, arm))
            follows = spread(item.follows[ratio]) if ratio in item.follows else None
            difference = compared.get((arm.name, ratio))
            found.append(InterventionResult(item.arm, item.reasoning, ratio, before, after, difference, follows))
    return found


def _after(item: Intervened) -> str:
    return f"{item.arm}, {item.reasoning}"


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {f"{key:g}" if isinstance(key, float) else str(key): _json(item) for key, item in value.items()}
    if hasattr(value, "_asdict"):
        return _json(value._asdict())
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
