"""Length control in training: the length term of a step's rollouts, its weight, and what each step came to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from latent_core.config.lengths import LengthConfig, LengthReward
from latent_core.errors import InputError
from latent_core.rl import lengths
from latent_core.rl.groups import Floats
from latent_core.rl.rollouts.files import RolloutFiles
from latent_core.rl.rollouts.judges import Row

if TYPE_CHECKING:
    import pyarrow as pa

ALPHA, REFERENCE, LENGTH_TERM = "alpha", "reference_tokens", "length_term"
CURVE_COLUMNS = ("step", "ratio", "verdict", "tokens", "reasoning_tokens", ALPHA, REFERENCE, LENGTH_TERM)
"""The columns that `length_curve` reads."""


def length_columns() -> list[pa.Field]:
    """What a rollout has besides, under a length term: the weight of its step, its question's length at ratio 1 (in the
    start model's reasoning tokens), and the term, which its reward contains."""
    import pyarrow as pa

    return [pa.field(name, pa.float64()) for name in (ALPHA, REFERENCE, LENGTH_TERM)]


class LengthControl:
    """Gives rollouts their length term.

    The weight of a step follows from the file of the step before: its weight, and how far its lengths missed what was
    asked for. So nothing is carried from step to step in memory, and a run that goes on has the weights it had.
    """

    def __init__(self, config: LengthConfig, references: Mapping[str, float], *, samples: int, iterations: int) -> None:
        """`references`: by question, the mean length of the start model's correct reasoning at ratio 1, in tokens;
        `samples`: rollouts of a group; `iterations`: optimizer steps on the same rollouts."""
        self._config = config
        self._references = references
        self._samples = samples
        self._iterations = iterations

    def add_terms(self, rows: Sequence[Row], step: int, files: RolloutFiles) -> None:
        """Add the columns of `length_columns` to a step's graded rows, which are there group by group.

        Raises InputError for a question without a reference.
        """
        alpha = self.weight(step, files)
        for row in rows:
            row |= {ALPHA: alpha, REFERENCE: self._reference(row["question_id"])}
        for start in range(0, len(rows), self._samples):
            group = rows[start : start + self._samples]
            for row, term in zip(group, self._terms(group, alpha), strict=True):
                row[LENGTH_TERM] = float(term)

    def weight(self, step: int, files: RolloutFiles) -> float:
        """alpha at this optimizer step, of which the files hold all earlier ones."""
        config = self._config
        if step == 0 or config.rate == 0:
            return config.alpha
        before = list(files.rows([step - self._iterations], CURVE_COLUMNS))
        return lengths.next_alpha(before[0][ALPHA], deviation_of(before), config.tolerance, config.rate)

    def _reference(self, question_id: str) -> float:
        if question_id not in self._references:
            raise InputError(f"references: have no length for question {question_id}; measure those of training")
        return self._references[question_id]

    def _terms(self, group: Sequence[Row], alpha: float) -> Floats:
        correct = [row["verdict"] == "correct" for row in group]
        tokens = [row["reasoning_tokens"] for row in group]
        ratio, reference = group[0]["ratio"], group[0][REFERENCE]
        match self._config.reward:
            case LengthReward.LCPO_EXACT:
                reward = lengths.lcpo_exact(correct, tokens, ratio * reference, alpha=alpha)
            case LengthReward.LCPO_MAX:
                reward = lengths.lcpo_max(correct, tokens, ratio, reference, alpha=alpha)
            case LengthReward.GATED:
                reward = lengths.gated(correct, tokens, ratio * reference, alpha=alpha)
            case LengthReward.HMPO:
                reward = lengths.hmpo(correct, tokens)
            case LengthReward.NONE:
                reward = np.asarray(correct, dtype=np.float64)
        return np.asarray(reward - np.asarray(correct, dtype=np.float64))


def deviation_of(rows: Sequence[Mapping[str, Any]]) -> float:
    """E|n/L - ratio| over a step's rollouts, which have the columns of `length_columns`."""
    return lengths.mean_deviation(
        [row["reasoning_tokens"] for row in rows],
        [row[REFERENCE] for row in rows],
        [row["ratio"] for row in rows],
    )


def length_curve(rows: Iterable[Mapping[str, Any]], samples: int) -> Iterator[dict[str, float]]:
    """One entry a step of rollouts that come step by step and group by group.

    `mean_deviation` is E|n/L - ratio|; the spreads are mean standard deviations (ddof 0) within groups of 1[correct]
    and of the length term. Tokens are means over rollouts; those of the answer are all that are not reasoning, since
    reasoning that a reward shortens can move there.
    """
    for step, found in groupby(rows, key=lambda row: row["step"]):
        of_step = list(found)
        groups = [of_step[start : start + samples] for start in range(0, len(of_step), samples)]
        correct = [[row["verdict"] == "correct" for row in group] for group in groups]
        rewards = [
            [float(right) + row[LENGTH_TERM] for row, right in zip(group, flags, strict=True)]
            for group, flags in zip(groups, correct, strict=True)
        ]
        spreads = lengths.term_spreads(correct, rewards)
        reasoning = float(np.mean([row["reasoning_tokens"] for row in of_step]))
        yield {
            "step": step,
            "alpha": of_step[0][ALPHA],
            "mean_deviation": deviation_of(of_step),
            "accuracy_spread": spreads.accuracy,
            "length_spread": spreads.length,
            "correct": float(np.mean([flag for flags in correct for flag in flags])),
            "reasoning_tokens": reasoning,
            "answer_tokens": float(np.mean([row["tokens"] for row in of_step])) - reasoning,
        }
