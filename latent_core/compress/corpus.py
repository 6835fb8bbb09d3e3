"""Compression of a whole corpus of chains of thought: words are scored once, every ratio is arithmetic after that."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from latent_core.compress.answers import answer_retained
from latent_core.compress.baselines import Compressor, SolutionCompressor
from latent_core.compress.scored import ScoredText
from latent_core.compress.selection import SelectionOptions, in_units, kept_words, render
from latent_core.compress.solutions import Solutions
from latent_core.config.compress import RatioOf

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, Any]
COTS_PER_CALL = 512  # texts whose windows are batched together: bounds memory, large enough to sort by length

COT_COLUMNS = ("question_id", "sample_index", "question", "gold", "reasoning", "reasoning_tokens", "verdict")


def score_schema() -> pa.Schema:
    """Columns of a scored chain of thought; the nested lists are one inner list per encoder window."""
    import pyarrow as pa

    nested = {"words": pa.string(), "keep_probability": pa.float32(), "lengths": pa.int32(), "starts": pa.int32()}
    return pa.schema(
        [
            ("question_id", pa.string()),
            ("sample_index", pa.int32()),
            ("gold", pa.string()),
            ("text", pa.string()),
            ("family", pa.string()),
            ("wide", pa.list_(pa.bool_())),
            *((name, pa.list_(pa.list_(kind))) for name, kind in nested.items()),
            ("ends", pa.list_(pa.list_(pa.int32()))),
        ]
    )


def compressed_schema() -> pa.Schema:
    """Columns of one chain of thought at one ratio; token counts are the target model's."""
    import pyarrow as pa

    return pa.schema(
        [
            ("question_id", pa.string()),
            ("sample_index", pa.int32()),
            ("ratio", pa.float64()),
            ("text", pa.string()),
            ("tokens_before", pa.int32()),
            ("tokens_after", pa.int32()),
            ("achieved_ratio", pa.float64()),
            ("answer_retained", pa.bool_()),
        ]
    )


def scored_rows(
    samples: Iterable[Row], compressor: Compressor, max_cot_tokens: int, accounting: Counter[str]
) -> Iterator[dict[str, Any]]:
    """Scores of the correct, non-empty chains of thought within the length cap.

    `accounting` counts every input row: kept, too_long, empty, or the verdict for which it was left out.
    """

    def usable() -> Iterator[Row]:
        for row in samples:
            reason = _why_not(row, max_cot_tokens)
            accounting[reason or "kept"] += 1
            if reason is None:
                yield row

    rows = usable()
    while block := list(islice(rows, COTS_PER_CALL)):
        for row, scored in zip(block, _scores(block, compressor), strict=True):
            identity = {key: row[key] for key in ("question_id", "sample_index", "gold")}
            yield identity | scored.to_row()


def _scores(rows: Sequence[Row], compressor: Compressor) -> list[ScoredText]:
    texts = [row["reasoning"] for row in rows]
    if isinstance(compressor, SolutionCompressor):
        return compressor.score_solutions(
            Solutions(texts, [row["question"] for row in rows], [row["gold"] for row in rows])
        )
    return compressor.score_words(texts)


def _why_not(row: Row, max_cot_tokens: int) -> str | None:
    if row["verdict"] != "correct":
        return str(row["verdict"])
    if row["reasoning_tokens"] > max_cot_tokens:
        return "too_long"
    return None if row["reasoning"].strip() else "empty"


class RatioDrift:
    """What requested ratios became, and how often the answer's value survived, over rows of `compressed_schema`."""

    COLUMNS = ("ratio", "tokens_before", "tokens_after", "achieved_ratio", "answer_retained")

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._achieved: dict[float, array[float]] = defaultdict(lambda: array("d"))
        self._before: Counter[float] = Counter()
        self._after: Counter[float] = Counter()
        self._retained: Counter[float] = Counter()
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        ratio = row["ratio"]
        self._achieved[ratio].append(row["achieved_ratio"])
        self._before[ratio] += row["tokens_before"]
        self._after[ratio] += row["tokens_after"]
        self._retained[ratio] += row["answer_retained"]

    def rows(self) -> list[dict[str, float]]:
        """Per requested ratio: achieved (tokens after over before), drift, quantiles over texts, answer retention."""
        table = []
        for ratio in sorted(self._achieved, reverse=True):
            low, high = np.quantile(self._achieved[ratio], [0.05, 0.95])
            achieved = self._after[ratio] / max(1, self._before[ratio])
            count = len(self._achieved[ratio])
            table.append(
                {
                    "ratio": ratio,
                    "texts": count,
                    "achieved_ratio": achieved,
                    "drift": ratio - achieved,
                    "achieved_q05": float(low),
                    "achieved_q95": float(high),
                    "mean_tokens": self._after[ratio] / count,
                    "answer_retention": self._retained[ratio] / count,
                }
            )
        return table


class ScoredSample(NamedTuple):
    """A row of `score_schema`."""

    question_id: str
    sample_index: int
    gold: str
    scored: ScoredText


def scored_samples(batches: Iterable[pa.RecordBatch]) -> Iterator[ScoredSample]:
    """The rows of a table of `score_schema`."""
    for batch in batches:
        identity = (batch[name].to_pylist() for name in ("question_id", "sample_index", "gold"))
        yield from map(ScoredSample, *identity, ScoredText.of_batch(batch))


def compressed_rows(
    samples: Iterable[ScoredSample],
    ratios: Sequence[float],
    options: SelectionOptions,
    count_target: Callable[[str], int],
) -> Iterator[dict[str, Any]]:
    """Every scored text at every ratio below 1 (at 1.0 the text itself is used), with the achieved ratio."""
    counter = count_target if options.ratio_of is RatioOf.TARGET_TOKENS else None
    for question_id, sample_index, gold, scored in samples:
        before = count_target(scored.text)
        scored = in_units(scored, options)
        for ratio in ratios:
            if ratio == 1.0:
                continue
            text = render(scored, kept_words(scored, ratio, options, gold=gold, count_target=counter))
            after = count_target(text)
            yield {
                "question_id": question_id,
                "sample_index": sample_index,
                "ratio": ratio,
                "text": text,
                "tokens_before": before,
                "tokens_after": after,
                "achieved_ratio": after / before if before else 1.0,
                "answer_retained": answer_retained(text, gold),
            }
