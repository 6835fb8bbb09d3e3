"""What several samples of a question are worth together: pass@k and maj@k, averaged over questions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from latent_core.evaluation.scores import Scores
from latent_core.evaluation.statistics import majority_at_k, pass_at_k


class AtK(NamedTuple):
    """With k samples a question: the chance that one is right, that their majority is (None where not computed).

    The third of the usual names, avg@k, is the summary's accuracy, whatever k is.
    """

    passed: float
    majority: float | None


def at_k(scores: Scores) -> dict[int, AtK]:
    """By k: 1, 2, 4, … and the number of samples; empty where a question has only one.

    `passed` is unbiased (Chen et al. 2021, equation 1). `majority` is computed where it is exact, at k = all samples
    of every question, and needs the rows' answers.
    """
    size = len(scores.question_ids)
    samples = np.bincount(scores.question, minlength=size)
    most = int(samples.min())
    if most < 2:
        return {}
    right = np.bincount(scores.question, weights=scores.correct, minlength=size).astype(np.int64)
    # Few pairs of numbers are distinct, and the formula is slow with large integers.
    counts, times = np.unique(np.stack([samples, right]), axis=1, return_counts=True)
    ks = sorted({*(2**power for power in range(most.bit_length())), most})
    majority = _majority(scores) if scores.answers is not None and int(samples.max()) == most else None
    found = {}
    for k in ks:
        chances = [pass_at_k(int(total), int(good), k) for total, good in counts.T]
        passed = float(np.average(chances, weights=times))
        found[k] = AtK(passed, majority if k == most else None)
    return found


def _majority(scores: Scores) -> float:
    assert scores.answers is not None
    order = np.argsort(scores.question, kind="stable")
    places = np.split(order, np.flatnonzero(np.diff(scores.question[order])) + 1)
    votes = []
    for chosen in places:
        answers = [scores.answers[place] for place in chosen]
        correct = [bool(scores.correct[place]) for place in chosen]
        votes.append(majority_at_k(answers, correct, len(chosen), seed=0))
    return float(np.mean(votes))
