"""How sure a model is of the gold answer after its own reasoning: accuracy's continuous counterpart.

Accuracy counts a question as solved or not; the log-probability of the gold (see `latent_core.reward.scorer`) says by
how much, so that fewer questions tell two conditions apart. A completion that never ends its thinking has none. It is
counted apart and not averaged in as some small number, which would only restate how many were cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from latent_core.evaluation.statistics import Estimate, bootstrap_mean, paired_bootstrap
from latent_core.reward.scores import Score, ScoreRequest, Status

if TYPE_CHECKING:
    import pyarrow as pa

    from latent_core.reward.scorer import Scorer

COLUMN, STATUS = "gold_logprob", "gold_logprob_status"
_ROWS_PER_CALL = 256  # as many as the engine writes at once: enough to batch by length
Row = dict[str, Any]
Floats = npt.NDArray[np.float64]


class LogProb(NamedTuple):
    """Mean log P of the gold in nats a token, over questions of the mean over a question's scored samples.

    `mean` is None where nothing was scored. `questions` have a scored sample; the other numbers count samples.
    """

    mean: Estimate | None
    questions: int
    scored: int
    malformed: int

    def to_metrics(self) -> dict[str, Any]:
        return self._asdict() | {"mean": None if self.mean is None else self.mean._asdict()}

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, Any]) -> LogProb:
        return cls(**{**metrics, "mean": None if metrics["mean"] is None else Estimate(**metrics["mean"])})


class LogProbDifference(NamedTuple):
    """Candidate minus baseline, in nats a token, on the `questions` that both have a scored sample of."""

    difference: Estimate
    bootstrap_p: float
    questions: int


def with_columns(schema: pa.Schema) -> pa.Schema:
    """A schema of completions with the two columns of this metric: nats a token (null if malformed), and the status."""
    import pyarrow as pa

    return schema.append(pa.field(COLUMN, pa.float64())).append(pa.field(STATUS, pa.string()))


def with_logprob(rows: Iterable[Row], scorer: Scorer) -> Iterator[Row]:
    """The rows with both columns, in order, scored in blocks. Raises as `Scorer.score` does."""
    stream = iter(rows)
    while block := list(islice(stream, _ROWS_PER_CALL)):
        requests = [
            ScoreRequest(tuple(row["prompt_token_ids"]), tuple(row["output_token_ids"]), row["gold"]) for row in block
        ]
        # What no room is left for after the reasoning has run into the model's context: malformed as well, no error.
        fitting = [index for index, request in enumerate(requests) if scorer.fits(request)]
        scores = dict(zip(fitting, scorer.score([requests[index] for index in fitting]), strict=True))
        for index, row in enumerate(block):
            yield row | _cells(scores.get(index))


def without_end(row: Row) -> Row:
    """A scored row whose completion was cut before its thinking ended."""
    return row | {COLUMN: None, STATUS: Status.NO_THINK_END.value}


def log_prob(by_sample: Floats, question: npt.NDArray[np.int64], seed: int) -> LogProb:
    """Summarise one value a sample (NaN: malformed), shape (samples,); `question` says whose each sample is."""
    scored = np.isfinite(by_sample)
    values = by_question(by_sample, question)
    values = values[np.isfinite(values)]
    mean = bootstrap_mean(values, seed=seed) if len(values) else None
    return LogProb(mean, len(values), int(scored.sum()), int((~scored).sum()))


def log_prob_difference(baseline: Floats, candidate: Floats, seed: int) -> LogProbDifference | None:
    """Paired bootstrap of two means a question (NaN: no scored sample), shapes (questions,) in the same order.

    A question that either leaves unscored is no pair. None where no pair is left.
    """
    both = np.isfinite(baseline) & np.isfinite(candidate)
    if not both.any():
        return None
    found = paired_bootstrap(baseline[both], candidate[both], seed=seed)
    return LogProbDifference(Estimate(found.value, found.low, found.high), found.p_value, int(both.sum()))


def by_question(by_sample: Floats, question: npt.NDArray[np.int64]) -> Floats:
    """Mean of each question's finite values, NaN where it has none: (samples,) → (questions,)."""
    scored = np.isfinite(by_sample)
    size = int(question.max()) + 1
    sums = np.bincount(question[scored], weights=by_sample[scored], minlength=size)
    counts = np.bincount(question[scored], minlength=size)
    return np.asarray(np.divide(sums, counts, out=np.full(size, np.nan), where=counts > 0), dtype=np.float64)


def _cells(score: Score | None) -> Row:
    if score is None:
        return {COLUMN: None, STATUS: "no_room"}
    return {COLUMN: score.score if score.status is Status.SCORED else None, STATUS: score.status.value}
