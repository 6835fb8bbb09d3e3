"""What compressed chains of thought are worth, before anything is trained on them.

- answer recoverability: mean log P of the gold answer given question and compressed text, nats a token, under a model
  that is not trained (`reward.scorer`). Between that of the whole text and that of no reasoning at all;
- number retention: share of the text's numbers that are left; and whether the answer's value is (`compress.answers`);
- broken equations: share of the text's equations of which some units are left and some are not (`compress.retention`);
- achieved ratio, in the model's tokens: mean and standard deviation over texts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import partial
from itertools import groupby
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from latent_core import prompts
from latent_core.compress.answers import answer_retained
from latent_core.compress.retention import retention
from latent_core.reward.scores import ScoreRequest

if TYPE_CHECKING:
    import pyarrow as pa

    from latent_core.reward.scorer import Scorer

Row = Mapping[str, Any]
WHOLE, NOTHING = 1.0, 0.0  # ratios of the text itself, and of the question without any reasoning


def measured_schema() -> pa.Schema:
    """Columns of one measured text; `gold_logprob` is null where the model's context has no room for text and answer,
    and in all rows of a model that has no end of thinking to put the answer after.

    Ratio 1 is the text itself, ratio 0 no text at all.
    """
    import pyarrow as pa

    counts = ("numbers", "numbers_kept", "equations", "equations_broken")
    return pa.schema(
        [
            ("question_id", pa.string()),
            ("sample_index", pa.int32()),
            ("ratio", pa.float64()),
            ("achieved_ratio", pa.float64()),
            ("answer_retained", pa.bool_()),
            *((name, pa.int32()) for name in counts),
            ("gold_logprob", pa.float64()),
        ]
    )


def first_questions(texts: Iterable[Row], questions: int | None) -> Iterator[list[Row]]:
    """The texts of each of the first `questions` samples' questions (all for None), a list a sample."""
    seen: set[str] = set()
    for (question_id, _), group in groupby(texts, key=lambda row: (row["question_id"], row["sample_index"])):
        seen.add(question_id)
        if questions is not None and len(seen) > questions:
            return
        yield list(group)


def measured(sample: Sequence[Row], scorer: Scorer | None) -> list[dict[str, Any]]:
    """A row of `measured_schema` for each text of one sample, the whole text first, and one without any text.

    `sample` has question, gold, ratio and text, and the achieved ratio of all but the first. Without a scorer no row
    has a `gold_logprob`. Raises InputError as `Scorer.score` does.
    """
    whole = sample[0]["text"]
    texts = [(row["ratio"], row["text"], row.get("achieved_ratio", WHOLE)) for row in sample]
    texts.append((NOTHING, "", 0.0))
    scores = {} if scorer is None else _scores(sample[0], [text for _, text, _ in texts], scorer)
    identity = {name: sample[0][name] for name in ("question_id", "sample_index")}
    return [
        identity
        | {
            "ratio": ratio,
            "achieved_ratio": achieved,
            "answer_retained": answer_retained(text, sample[0]["gold"]),
            "gold_logprob": scores.get(place),
        }
        | retention(whole, text)._asdict()
        for place, (ratio, text, achieved) in enumerate(texts)
    ]


def _scores(sample: Row, texts: Sequence[str], scorer: Scorer) -> dict[int, float]:
    """log P of the gold answer after each text, by its place; those are left out that the model cannot read whole."""
    requests = [_request(sample, text, scorer) for text in texts]
    fitting = [place for place, request in enumerate(requests) if scorer.fits(request)]
    scores = scorer.score([requests[place] for place in fitting])
    return {place: score.score for place, score in zip(fitting, scores, strict=True)}


def _request(sample: Row, text: str, scorer: Scorer) -> ScoreRequest:
    model, family = scorer.readable, scorer.readable.family
    render = partial(prompts.render_prompt, tokenizer=model.tokenizer, family=family)
    completion = f"{family.header}{prompts.render_reasoning(text)}{family.think_end}"
    return ScoreRequest(
        tuple(model.encode_around(render, sample["question"])), tuple(model.encode(completion)), sample["gold"]
    )


def by_ratio(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Per ratio, falling: what the rows of `measured_schema` say together.

    Shares of numbers and equations are over all texts' together; None where there are none. `recoverability` is over
    the `scored` texts: those that the model read at every ratio, so that ratios are compared on the same ones.
    """
    groups: dict[float, list[Row]] = defaultdict(list)
    unread: set[tuple[str, int]] = set()
    for row in rows:
        groups[row["ratio"]].append(row)
        if row["gold_logprob"] is None:
            unread.add(_sample(row))
    return [_summary(ratio, groups[ratio], unread) for ratio in sorted(groups, reverse=True)]


def _sample(row: Row) -> tuple[str, int]:
    return row["question_id"], row["sample_index"]


def _summary(ratio: float, rows: Sequence[Row], unread: Set[tuple[str, int]]) -> dict[str, Any]:
    scored = [row["gold_logprob"] for row in rows if _sample(row) not in unread]
    achieved = [row["achieved_ratio"] for row in rows]
    return {
        "ratio": ratio,
        "texts": len(rows),
        "achieved_ratio": fmean(achieved),
        "achieved_sd": pstdev(achieved),
        "recoverability": fmean(scored) if scored else None,
        "scored": len(scored),
        "number_retention": _share(rows, "numbers_kept", "numbers"),
        "answer_retention": fmean(row["answer_retained"] for row in rows),
        "broken_equations": _share(rows, "equations_broken", "equations"),
    }


def _share(rows: Sequence[Row], part: str, whole: str) -> float | None:
    total = sum(row[whole] for row in rows)
    return sum(row[part] for row in rows) / total if total else None
