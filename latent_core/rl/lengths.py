"""Rewards that train a model to reason as long as it is asked to, and the controls that such training needs.

A reward here is that of a group: rollouts of one question at one ratio, `correct` and `lengths` of shape (G,), lengths
in *reasoning tokens*. A target length n* is ratio times the question's reference length: the mean length of the start
model's correct reasonings at ratio 1. It is in the same model's own tokens, and training cannot move it.
Every function gives 1[correct] plus a length term. In a group without a correct rollout there is no length term: it
would be the group's only signal, and teach a length for reasoning that leads nowhere.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from latent_core.errors import InputError
from latent_core.rl.groups import Floats, finite


class TermSpreads(NamedTuple):
    """Mean standard deviation (ddof 0) within groups of a reward's two terms."""

    accuracy: float
    length: float


def lcpo_exact(correct: npt.ArrayLike, lengths: npt.ArrayLike, target: float, *, alpha: float) -> Floats:
    """1[correct] - alpha min(1, |n - n*| / n*), shape (G,): LCPO-Exact with a relative deviation.

    L1 (Aggarwal & Welleck, arXiv 2503.04697, section 3) takes alpha |n - n*| in tokens; a share of the target gives
    questions of all lengths the same weight, and at most `alpha`.
    """
    right, deviations = _read(correct, lengths, target, alpha)
    return right - alpha * deviations if right.any() else right


def lcpo_max(correct: npt.ArrayLike, lengths: npt.ArrayLike, ratio: float, reference: float, *, alpha: float) -> Floats:
    """1[correct] clip(1/2 + alpha (ratio - n / reference), 0, 1), shape (G,): LCPO-Max (arXiv 2503.04697, section 3).

    `reference` is the question's length at ratio 1. What is shorter than asked for is worth more, up to 1.
    """
    if isinstance(ratio, bool) or not isinstance(ratio, Real) or not (np.isfinite(ratio) and ratio >= 0):
        raise InputError(f"ratio: must be a number of at least 0, not {ratio!r}")
    right, _ = _read(correct, lengths, reference, alpha, target_name="reference")
    return right * np.clip(0.5 + alpha * (ratio - finite("lengths", lengths) / reference), 0.0, 1.0)


def gated(correct: npt.ArrayLike, lengths: npt.ArrayLike, target: float, *, alpha: float) -> Floats:
    """1[correct] (1 - alpha min(1, |n - n*| / n*)), shape (G,): only what is correct is told to keep its length."""
    right, deviations = _read(correct, lengths, target, alpha)
    return right * (1.0 - alpha * deviations)


def hmpo(correct: npt.ArrayLike, lengths: npt.ArrayLike, *, window: float = 1.0) -> Floats:
    """1[correct] times a decay over the group's own median correct length m, shape (G,); it needs no target.

    After HMPO (Zheng et al., arXiv 2606.01934: median of the correct rollouts as budget, cosine decay, product with
    correctness). Here the decay is 1 up to m, (1 + cos(pi (n - m) / (window m))) / 2 from there, and 0 from
    (1 + window) m on: a group's only correct rollout keeps its whole reward.
    """
    if not window > 0:
        raise InputError(f"window: must be above 0, not {window}")
    right, _ = _read(correct, lengths, 1.0, 0.0)
    if not right.any():
        return right
    tokens = finite("lengths", lengths)
    budget = max(1.0, float(np.median(tokens[right > 0])))
    over = np.clip((tokens - budget) / (window * budget), 0.0, 1.0)
    return right * (1.0 + np.cos(np.pi * over)) / 2.0


def reference_lengths(questions: Sequence[str], correct: npt.ArrayLike, lengths: npt.ArrayLike) -> dict[str, float]:
    """Mean length of each question's correct samples, by question, from the start model's samples at ratio 1.

    Questions that the start model never answers correctly have no reference of their own and are not in the result; see
    `mean_where_none`.
    """
    right, tokens = _flags(correct), finite("lengths", lengths)
    if not len(questions) == len(right) == len(tokens):
        raise InputError(f"lengths: {len(tokens)}, and {len(right)} verdicts, for {len(questions)} samples")
    found: dict[str, list[float]] = defaultdict(list)
    for question, is_right, length in zip(questions, right, tokens, strict=True):
        if is_right:
            found[question].append(length)
    return {question: max(1.0, float(np.mean(some))) for question, some in found.items()}


def mean_where_none(references: Mapping[str, float], questions: Iterable[str]) -> dict[str, float]:
    """The references of these questions, with the mean over all references for those that have none of their own.

    Raises InputError where there are no references at all.
    """
    if not references:
        raise InputError("model: answers no question correctly, so there is no length to measure others by")
    mean = float(np.mean(list(references.values())))
    return {question: references.get(question, mean) for question in questions}


def mean_deviation(lengths: npt.ArrayLike, references: npt.ArrayLike, ratios: npt.ArrayLike) -> float:
    """E|n/L - ratio| over rollouts, all of shape (n,): how far from what was asked for, in shares of the reference."""
    tokens, whole, asked = finite("lengths", lengths), finite("references", references), finite("ratios", ratios)
    if not len(tokens) == len(whole) == len(asked) or not len(tokens) or (whole <= 0).any():
        raise InputError("references: expected one above 0, and a ratio, for each of at least one rollout")
    return float(np.mean(np.abs(tokens / whole - asked)))


def next_alpha(alpha: float, mean_deviation: float, tolerance: float, rate: float) -> float:
    """Dual ascent on the constraint E|n/L - ratio| <= tolerance: [alpha + rate (mean_deviation - tolerance)]_+.

    The weight grows while lengths miss what is asked for by more than the tolerance, and shrinks to 0 when they do not
    (a Lagrange multiplier: Boyd & Vandenberghe, Convex Optimization, chapter 5).
    """
    if not np.isfinite([alpha, mean_deviation, tolerance, rate]).all() or alpha < 0 or tolerance < 0 or rate < 0:
        raise InputError("alpha: it, the tolerance and the rate must be finite and at least 0")
    return max(0.0, alpha + rate * (mean_deviation - tolerance))


def alpha_after(deviations: Iterable[float], start: float, tolerance: float, rate: float) -> float:
    """The weight after steps of these mean deviations: a function of the rollouts, so a resumed run has the same."""
    for deviation in deviations:
        start = next_alpha(start, deviation, tolerance, rate)
    return start


def term_spreads(correct: Sequence[npt.ArrayLike], rewards: Sequence[npt.ArrayLike]) -> TermSpreads:
    """How much the accuracy term 1[correct] and the length term, reward - 1[correct], vary within groups.

    A length term whose spread is a small share of the accuracy term's is not heard, whatever its mean.
    """
    if len(correct) != len(rewards) or not rewards:
        raise InputError(f"rewards: {len(rewards)} groups, {len(correct)} groups of verdicts")
    right = [_flags(group) for group in correct]
    terms = [finite("rewards", group) - flags for group, flags in zip(rewards, right, strict=True)]
    return TermSpreads(*(float(np.mean([np.std(group) for group in of])) for of in (right, terms)))


def permuted(rewards: npt.ArrayLike, seed: int, group: str) -> Floats:
    """A placebo: the same rewards, shape (G,), in a random order drawn from `seed` and the group's name.

    Every group keeps its mean and spread, the filter and the optimizer see what they would have seen, and rollouts have
    nothing to do with their reward. Whatever training does with it comes from the cap, the filter and noise.
    """
    values = finite("rewards", rewards)
    digest = hashlib.sha256(f"placebo/{seed}/{group}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8])).permutation(values)


def _flags(correct: npt.ArrayLike) -> Floats:
    flags = finite("correct", correct)
    if not np.isin(flags, (0.0, 1.0)).all():
        raise InputError("correct: expected true or false for each rollout")
    return flags


def _read(
    correct: npt.ArrayLike, lengths: npt.ArrayLike, target: float, alpha: float, *, target_name: str = "target"
) -> tuple[Floats, Floats]:
    """1[correct], and each length's deviation from the target as a share of it, at most 1."""
    right, tokens = _flags(correct), finite("lengths", lengths)
    if len(right) != len(tokens):
        raise InputError(f"lengths: {len(tokens)} for {len(right)} rollouts")
    if (tokens < 0).any():
        raise InputError("lengths: expected token counts, at least 0")
    if not (np.isfinite(target) and target > 0):
        raise InputError(f"{target_name}: must be a length above 0 tokens, not {target}")
    if not (np.isfinite(alpha) and alpha >= 0):
        raise InputError(f"alpha: must be at least 0, not {alpha}")
    return right, np.minimum(1.0, np.abs(tokens - target) / target)
