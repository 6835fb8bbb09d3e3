"""How well keep-probabilities agree with keep labels: accuracy, F1 and the area under the ROC curve."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Agreement(NamedTuple):
    """Of predictions with binary labels; F1 is that of the label 1 (keep)."""

    accuracy: float
    f1: float
    auc: float


def agreement(scores: NDArray[np.floating], labels: NDArray[np.integer], threshold: float = 0.5) -> Agreement:
    """Agreement of `scores` (shape (n,), predicting 1 above `threshold`) with `labels` (0 or 1, shape (n,)).

    Raises ValueError when there are no labels. F1 is 0 where nothing is both predicted and labelled 1.
    """
    if not len(labels):
        raise ValueError("labels: must not be empty")
    predicted, positive = scores > threshold, labels == 1
    hits = float(np.sum(predicted & positive))
    marked = float(np.sum(predicted)) + float(np.sum(positive))
    return Agreement(float(np.mean(predicted == positive)), 2 * hits / marked if marked else 0.0, auc(scores, labels))


def auc(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """P(score of a random 1 > score of a random 0), ties counting half: the Mann-Whitney U over its maximum.

    NaN when only one label occurs.
    """
    positive = labels == 1
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if not ones or not zeros:
        return float("nan")
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(sizes) - (sizes - 1) / 2
    return float((mean_rank[group][positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))
