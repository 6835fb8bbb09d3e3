"""Does reasoning still answer to its prompt? Mutual information, entropy and retrieval, after RAGEN-2.

Template collapse (RAGEN-2, arXiv 2604.06268): reasoning that varies, and so looks alive to an entropy, but is the same
for every prompt. What is measured is a table of log-likelihoods: row i is a sampled reasoning z_i, column j a prompt
x_j, and l_j(z_i) = sum over tokens of log p(z_t | x_j, z_<t), by teacher forcing, in nats. Sums, not means over tokens:
only they are log-probabilities of the whole reasoning.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from numbers import Integral

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from latent_core.errors import InputError
from latent_core.rl.groups import Floats

_TIED = 1e-9  # likelihoods this close, as a share of the own prompt's, are the same sum in another order


def mutual_information(log_likelihood: npt.ArrayLike, *, own: Sequence[int] | None = None) -> float:
    """I(X; Z) in nats between prompts and reasonings: the mean of l_i - (logsumexp_j l_j - ln N).

    0 where all prompts find every reasoning equally likely (a fixed template), ln N where each reasoning is possible
    under its own prompt alone. Equal prompts, which have equal columns, lower that bound and need no merging. An
    estimate from few reasonings may fall below 0; it is never above ln N.

    `log_likelihood` has shape (rows, N); `own[i]` is the column of row i's own prompt, by default i. Raises InputError
    for what is no such table: NaN, +inf, or a reasoning that is impossible under its own prompt.
    """
    table, of_own = _read(log_likelihood, own)
    return float(np.log(table.shape[1]) - np.mean(logsumexp(table - of_own[:, None], axis=1)))


def conditional_entropy(log_likelihood: npt.ArrayLike, *, own: Sequence[int] | None = None) -> float:
    """H(Z | X) in nats: minus the mean log-likelihood of a reasoning under its own prompt. Arguments as above."""
    return float(-np.mean(_read(log_likelihood, own)[1]))


def retrieval(
    log_likelihood: npt.ArrayLike,
    k: int,
    *,
    same: Sequence[Hashable] | None = None,
    own: Sequence[int] | None = None,
) -> float:
    """Share of reasonings whose own prompt is among the `k` under which they are likeliest; see `chance` for its floor.

    Prompts that tie with the own one share its places: a tie counts as the chance of being among the k in a random
    order of those that tie. A fixed template so gives exactly k/N, in whatever order prompts stand.

    `same` has a label for each column; columns with the same label are one prompt (two games that begin alike) and take
    one place. By default all differ. Other arguments and errors as `mutual_information`.
    """
    _check_count("k", k)
    table, of_own = _read(log_likelihood, own)
    labels = _labels(same, table.shape[1])
    columns = np.arange(len(table)) if own is None else np.asarray(own)
    firsts = np.unique(labels, return_index=True)[1]
    merged = np.stack([table[:, labels == label].max(axis=1) for label in labels[firsts]], axis=1)
    others = labels[firsts][None, :] != labels[columns][:, None]
    margin = (_TIED * np.abs(of_own))[:, None]
    better = (others & (merged > of_own[:, None] + margin)).sum(axis=1)
    tied = (others & (np.abs(merged - of_own[:, None]) <= margin)).sum(axis=1)
    return float(np.mean(np.clip((k - better) / (tied + 1), 0.0, 1.0)))


def chance(k: int, prompts: int, *, same: Sequence[Hashable] | None = None) -> float:
    """What `retrieval` would be if reasoning had nothing to do with its prompt: k over the number of distinct ones."""
    _check_count("k", k)
    _check_count("prompts", prompts)
    return min(1.0, k / len(np.unique(_labels(same, prompts))))


def _check_count(name: str, count: object) -> None:
    if isinstance(count, bool) or not isinstance(count, Integral) or count < 1:
        raise InputError(f"{name}: must be a whole number of at least 1, not {count!r}")


def _labels(same: Sequence[Hashable] | None, prompts: int) -> npt.NDArray[np.int64]:
    """A number for each column, the same one for the same prompt."""
    if same is None:
        return np.arange(prompts, dtype=np.int64)
    if len(same) != prompts:
        raise InputError(f"same: {len(same)} labels for {prompts} prompts")
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in same], dtype=np.int64)


def _read(log_likelihood: npt.ArrayLike, own: Sequence[int] | None) -> tuple[Floats, Floats]:
    """The table as float64, and each row's log-likelihood under its own prompt, shape (rows,)."""
    table = np.asarray(log_likelihood, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise InputError(f"log_likelihood: expected shape (reasonings, prompts), found {table.shape}")
    if own is None and table.shape[0] != table.shape[1]:
        raise InputError(f"own: which prompt do the {len(table)} rows belong to? There are {table.shape[1]} prompts")
    columns = np.arange(len(table)) if own is None else np.asarray(own, dtype=np.int64)
    if columns.shape != (len(table),) or columns.min() < 0 or columns.max() >= table.shape[1]:
        raise InputError(f"own: expected a column below {table.shape[1]} for each of the {len(table)} rows")
    of_own: Floats = table[np.arange(len(table)), columns]
    if np.isnan(table).any() or (table == np.inf).any() or not np.isfinite(of_own).all():
        raise InputError(
            "log_likelihood: expected finite numbers, or -inf for a reasoning that is impossible under another prompt"
        )
    return table, of_own
