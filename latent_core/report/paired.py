"""The paired comparisons of a report: trained against untrained, against the same model at ratio 1, and variants.

Seeds of one variant are one arm. Where there are none, intervals are over questions alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from latent_core.evaluation.arm_comparisons import Difference, Pair, compare_at_ratios, compare_on_average
from latent_core.evaluation.arms import Arm, Point, read_arm
from latent_core.evaluation.condition import BASE, Kind
from latent_core.evaluation.multiple import Verdict
from latent_core.evaluation.noninferiority import is_non_inferior, noninferiority_p
from latent_core.evaluation.question_draws import QuestionDraws, draw_questions
from latent_core.evaluation.scores import Floats, Scores
from latent_core.evaluation.statistics import Estimate, bootstrap_ratio
from latent_core.evaluation.summary import SEED
from latent_core.report.entries import Evaluation

MARGIN = 0.03
RESAMPLES = 4000  # variances alone are taken from them, each known to 2 % of its square root
STANDARD = "standard"
_TRAINED = (Kind.RATIO, Kind.TRAINED, Kind.START, Kind.GRPO)
_PLAIN = 1.0  # where a model that takes no ratio stands on the axis of ratios


@dataclass(frozen=True)
class Kept:
    """One trained model at one ratio against a longer one: what it lost, and what it saved.

    `noninferiority_p`: of a loss of at least the margin, corrected over the family. `reasoning` and `tokens`: mean
    reasoning and output tokens relative to the control's, with 95 % intervals over questions; None where it has none.
    """

    difference: Difference
    condition: str
    noninferiority_p: float | None
    reasoning: Estimate | None
    tokens: Estimate | None

    @property
    def is_non_inferior(self) -> bool:
        """Shown to lose less than the margin; what is shown to be better loses nothing."""
        return self.difference.verdict is Verdict.BETTER or is_non_inferior(self.noninferiority_p)

    @property
    def saves(self) -> bool:
        """Whether fewer reasoning tokens are shown, and output tokens are not more."""
        if self.reasoning is None or self.tokens is None:
            return False
        return self.reasoning.high < 1 and self.tokens.value <= 1


@dataclass(frozen=True)
class Paired:
    """What a report compares. Holm's correction is over each of the four lists. `skipped`: arms that hold other
    questions or seeds than the first one, which are compared with nothing."""

    margin: float = MARGIN
    seeds: int = 1
    questions: int = 0
    against_base: Sequence[Kept] = ()
    against_full: Sequence[Kept] = ()
    at_ratios: Sequence[Difference] = ()
    at_tokens: Sequence[Difference] = ()
    skipped: Sequence[str] = ()


@dataclass(frozen=True)
class _Arms:
    trained: Mapping[str, Arm]
    kinds: Mapping[str, Kind]
    base: Arm | None
    skipped: list[str] = field(default_factory=list)


def build_paired(evaluations: Sequence[Evaluation], *, margin: float = MARGIN, resamples: int = RESAMPLES) -> Paired:
    """Compare what can be compared; every evaluation of a trained model is read once. `margin` is a fraction."""
    arms = _read(evaluations)
    if not arms.trained:
        return Paired(margin)
    first = next(iter(arms.trained.values()))
    draws = draw_questions(len(first.seeds), len(first.question_ids), resamples=resamples, seed=SEED)
    pairs = _pairs(arms)
    curves = [pair for pair in pairs if min(len(arms.trained[name].ratios) for name in pair) > 1]
    return Paired(
        margin,
        len(first.seeds),
        len(first.question_ids),
        _against_base(arms, draws, margin),
        _against_full(arms, draws, margin),
        compare_at_ratios(pairs, arms.trained, draws, margin=margin),
        compare_on_average(curves, arms.trained, draws, margin=margin),
        arms.skipped,
    )


def _read(evaluations: Sequence[Evaluation]) -> _Arms:
    """Arms by name, in the order of the report; questions in the order of the first."""
    points: dict[str, dict[Point, Scores]] = {}
    kinds: dict[str, Kind] = {}
    plain = next((item for item in evaluations if item.condition.kind is Kind.UNTRAINED), None)
    for item in evaluations:
        condition = item.condition
        if condition.kind in _TRAINED:
            name = condition.model if condition.kind is Kind.RATIO else f"{condition.model}, {condition.kind}"
            name = condition.model if condition.kind is Kind.TRAINED else name
            kinds[name] = condition.kind
            ratio = _PLAIN if condition.ratio is None else condition.ratio
            points.setdefault(name, {})[condition.seed or 0, ratio] = item.scores()
    skipped: list[str] = []
    read: dict[str, Arm] = {}
    ids: tuple[str, ...] | None = None
    for name, found in points.items():
        wanted = set(next(iter(found.values())).question_ids if ids is None else ids)
        rectangular = len(found) == len({seed for seed, _ in found}) * len({ratio for _, ratio in found})
        same = all(set(scores.question_ids) == wanted for scores in found.values())
        arm = read_arm(name, found, ids) if rectangular and same and len(wanted) > 1 else None
        if arm is None or any(other.seeds != arm.seeds for other in read.values()):
            skipped.append(name)
            continue
        ids, read[name] = arm.question_ids, arm
    base = None
    if plain is not None and ids is not None:
        scores = plain.scores()
        if set(scores.question_ids) == set(ids):
            base = read_arm(BASE, {(0, 1.0): scores}, ids)
        else:
            skipped.append(plain.condition.model)
    return _Arms(read, kinds, base, skipped)


def _pairs(arms: _Arms) -> list[Pair]:
    """Every variant against the standard one, and a policy against the model that it started from."""
    pairs = []
    for name, kind in arms.kinds.items():
        start = name.replace(f", {Kind.GRPO}", f", {Kind.START}")
        control = STANDARD if kind is Kind.RATIO else start if kind is Kind.GRPO else name
        if name in arms.trained and control in arms.trained and control != name:
            pairs.append(Pair(name, control))
    return pairs


def _against_base(arms: _Arms, draws: QuestionDraws, margin: float) -> list[Kept]:
    if arms.base is None:
        return []
    first = next(iter(arms.trained.values()))
    ratios = sorted({ratio for arm in arms.trained.values() for ratio in arm.ratios}, reverse=True)
    control = _everywhere(arms.base, BASE, first.seeds, ratios, [0] * len(first.seeds), 1.0)
    controls = {BASE: control}
    pairs = [Pair(name, BASE) for name in arms.trained]
    return _kept(arms, pairs, controls, draws, margin)


def _against_full(arms: _Arms, draws: QuestionDraws, margin: float) -> list[Kept]:
    """Against the same arm at ratio 1."""
    pairs, controls = [], {}
    for name, arm in arms.trained.items():
        shorter = [ratio for ratio in arm.ratios if ratio != 1.0]
        if 1.0 in arm.ratios and shorter:
            full = f"{name}, ratio 1"
            controls[full] = _everywhere(arm, full, arm.seeds, shorter, range(len(arm.seeds)), 1.0)
            pairs.append(Pair(name, full))
    return _kept(arms, pairs, controls, draws, margin)


def _kept(
    arms: _Arms, pairs: Sequence[Pair], controls: Mapping[str, Arm], draws: QuestionDraws, margin: float
) -> list[Kept]:
    differences = compare_at_ratios(pairs, {**arms.trained, **controls}, draws, margin=margin)
    found = []
    for difference, p in zip(differences, noninferiority_p(differences, margin), strict=True):
        arm, control, ratio = arms.trained[difference.pair.arm], controls[difference.pair.control], difference.ratio
        assert ratio is not None
        kind = arms.kinds[arm.name]
        condition = kind.value if kind is Kind.TRAINED else f"ratio {ratio:g}"
        saved = (
            bootstrap_ratio(_of(control, values_of, ratio), _of(arm, values_of, ratio), seed=SEED)
            for values_of in ("reasoning", "output")
        )
        found.append(Kept(difference, condition, p, *saved))
    return found


def _of(arm: Arm, name: str, ratio: float) -> Floats:
    """Tokens of an arm at a ratio, mean over seeds: (questions,)."""
    values: Floats = getattr(arm, name)[:, arm.place(ratio)]
    return np.asarray(values.mean(axis=0), dtype=np.float64)


def _everywhere(
    arm: Arm, name: str, seeds: tuple[int, ...], ratios: Sequence[float], rows: Sequence[int], ratio: float
) -> Arm:
    """The arm as it is at one ratio, standing at each of `ratios`; `rows` are its seeds that stand for `seeds`."""
    place = arm.place(ratio)

    def spread(values: Floats) -> Floats:
        return np.repeat(values[list(rows), place][:, None], len(ratios), axis=1)

    return replace(
        arm, name=name, seeds=seeds, ratios=tuple(ratios), correct=spread(arm.correct),
        reasoning=spread(arm.reasoning), output=spread(arm.output),
    )  # fmt: skip
