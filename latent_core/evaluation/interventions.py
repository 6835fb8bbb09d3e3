"""Replacing a model's reasoning before it answers: does the answer depend on what stands between the think marks?

The question and its prompt stay. The reasoning that the model wrote in a finished evaluation is replaced; after it come
the closing think mark and the beginning of the answer's sentence, up to the opened box, and the model fills in the
answer. Without that beginning a model whose reasoning is gone reasons again, in its answer. A model that reads its
reasoning loses its accuracy without it, and after another question's reasoning gives that question's answer. The others
are compared with its answers after its own reasoning, which is put there in the same way: then they differ in content
alone. Emptied reasoning is the end of "early answering", random reasoning a "filler" of Lanham et al., arXiv
2307.13702, section 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from latent_core.config.evaluate import Intervention
from latent_core.config.sampling import SamplingConfig
from latent_core.errors import InputError
from latent_core.generate.completions import COMPLETIONS_PER_CALL, Progress, regraded_row
from latent_core.generate.engine import Engine, Generation, Request, item_seed
from latent_core.models.readable import ReadableModel
from latent_core.permutations import derangement
from latent_core.prompts import render_answer
from latent_core.reward.frame import answer_frame, spellings
from latent_core.scoring import grade

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, Any]
_ANSWERS = ("0", "12", "-1", "x", "\\frac{1}{2}", "(A)")  # beginnings of answers, which tokens may merge with
DONOR, FOLLOWS = "donor_question_id", "follows_reasoning"
"""Columns of a swapped evaluation: whose reasoning it was, and whether the answer is that question's; null where both
questions have one answer, of which nothing follows."""


@dataclass(frozen=True)
class Replaced:
    """What stands in the place of one sample's reasoning: token ids, and of a swap the row that they come from."""

    ids: tuple[int, ...]
    donor: Row | None = None


def with_columns(schema: pa.Schema) -> pa.Schema:
    """A schema of completions with the two columns of a swap."""
    import pyarrow as pa

    return schema.append(pa.field(DONOR, pa.string())).append(pa.field(FOLLOWS, pa.bool_()))


def reasoning_ids(row: Row, model: ReadableModel) -> tuple[int, ...]:
    """The ids before the closing think mark; of a reasoning that never ends all but the token that ended the turn.

    Raises InputError for a model that does not reason between marks.
    """
    end = _think_end_id(model)
    ids = list(row["output_token_ids"])
    if end in ids:
        return tuple(ids[: ids.index(end)])
    return tuple(ids[:-1] if ids and ids[-1] in model.family.stop_ids else ids)


def answer_opening(model: ReadableModel) -> tuple[int, ...]:
    """The ids from the closing think mark on to the opened box, as targets of training have them.

    They are the same whatever answer follows: a token that merges with some answer's beginning is left to the model.
    Raises InputError for a model that does not reason between marks.
    """
    end = _think_end_id(model)
    frame = answer_frame(model.family)
    openings = [
        spelling.ids[: spelling.begin] for text in _ANSWERS for spelling in spellings(text, frame, model.tokenizer)
    ]
    return (end, *_common_beginning(openings))


def replacements(rows: Sequence[Row], intervention: Intervention, model: ReadableModel, seed: int) -> list[Replaced]:
    """For each row, in order, what replaces its reasoning.

    Random ids are as many as the row's own, drawn with replacement from all reasoning of `rows`, as often as it has
    them: latent ids for a dual model. Marks and ids that end a turn are never drawn. Swapping puts the questions in a
    cycle, so that none has its own reasoning; samples of two questions go together by their place. Raises InputError
    for a model that does not reason between marks, and for swapping fewer than two questions.
    """
    own = [reasoning_ids(row, model) for row in rows]
    if intervention is Intervention.OWN:
        return [Replaced(ids) for ids in own]
    if intervention is Intervention.EMPTY:
        return [Replaced(()) for _ in rows]
    if intervention is Intervention.SWAP:
        return [Replaced(own[place], rows[place]) for place in _donors(rows, seed)]
    pool = _pool(own, model)
    replaced = []
    for row, ids in zip(rows, own, strict=True):
        draw = np.random.default_rng(item_seed(seed, row["question_id"], row["sample_index"]))
        replaced.append(Replaced(tuple(draw.choice(pool, size=len(ids)).tolist()) if ids else ()))
    return replaced


def intervened(
    rows: Sequence[Row],
    intervention: Intervention,
    model: ReadableModel,
    engine: Engine,
    sampling: SamplingConfig,
    *,
    benchmark: str,
    context: int,
    progress: Progress | None = None,
) -> Iterator[dict[str, Any]]:
    """Every row of a finished evaluation with its reasoning replaced and a new answer, graded, in order.

    `sampling` should be greedy. `tokens` count all that was put there. A row whose prompt and reasoning leave no room
    in the model's `context` (tokens) has no answer and counts as cut. Raises as `replacements` does.
    """
    replaced = replacements(rows, intervention, model, sampling.seed)
    opening = answer_opening(model)
    done, tokens = 0, 0
    for start in range(0, len(rows), COMPLETIONS_PER_CALL):
        block = list(zip(rows, replaced, strict=True))[start : start + COMPLETIONS_PER_CALL]
        requests = [
            Request(
                (*row["prompt_token_ids"], *found.ids, *opening),
                item_seed(sampling.seed, row["question_id"], row["sample_index"]),
            )
            for row, found in block
        ]
        fitting = [place for place, request in enumerate(requests) if len(request.prompt_ids) < context]
        answers = dict(zip(fitting, engine.generate([requests[place] for place in fitting], sampling), strict=True))
        for place, (row, found) in enumerate(block):
            answer = answers.get(place, Generation((), "length"))
            whole = Generation((*found.ids, *opening, *answer.token_ids), answer.finish_reason)
            done, tokens = done + 1, tokens + len(answer.token_ids)
            graded = regraded_row(row, whole, model, benchmark=benchmark)
            yield graded | _cells(graded, found.donor, benchmark)
        if progress:
            progress(done, tokens)


def _think_end_id(model: ReadableModel) -> int:
    if model.family.echoes:
        raise InputError(
            "evaluate.interventions: the model names its ratio before it reasons, which would be replaced; drop them"
        )
    if model.family.think_end_id is None:
        raise InputError(
            "evaluate.interventions: the model does not reason between think marks, so there is nothing to replace; "
            "drop them"
        )
    return model.family.think_end_id


def _common_beginning(rows: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    shortest = min(map(len, rows))
    same = (place for place in range(shortest) if len({row[place] for row in rows}) > 1)
    return rows[0][: next(same, shortest)]


def _cells(row: Row, donor: Row | None, benchmark: str) -> dict[str, Any]:
    """The columns of a swap."""
    if donor is None:
        return {}
    gold = donor["gold"]
    alike = gold == row["gold"] or _is_right(render_answer(gold), row["gold"], benchmark, "stop")
    follows = None if alike else _is_right(row["completion"], gold, benchmark, row["finish_reason"])
    return {DONOR: donor["question_id"], FOLLOWS: follows}


def _is_right(completion: str, gold: str, benchmark: str, finish_reason: str) -> bool:
    return grade(completion, gold, benchmark=benchmark, finish_reason=finish_reason).outcome.value == "correct"


def _donors(rows: Sequence[Row], seed: int) -> list[int]:
    """For each row the place of the one whose reasoning it is given."""
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row["question_id"], []).append(place)
    if len(places) < 2:
        raise InputError("evaluate.interventions: swap needs another question; raise evaluate.questions, or drop it")
    groups = list(places.values())
    donors = [0] * len(rows)
    for group, other in zip(groups, derangement(len(groups), seed).tolist(), strict=True):
        for index, place in enumerate(group):
            donors[place] = groups[other][index % len(groups[other])]
    return donors


def _pool(own: Sequence[tuple[int, ...]], model: ReadableModel) -> npt.NDArray[np.int64]:
    """All reasoning ids that may be drawn, as often as they occur."""
    ids = np.asarray([token for row in own for token in row], dtype=np.int64)
    family = model.family
    marks = [mark for mark in (family.think_start_id, family.think_end_id) if mark is not None]
    ids = ids[~np.isin(ids, [*marks, *family.stop_ids])]
    if model.vocabulary is not None:
        ids = ids[model.vocabulary.is_latent(ids)]
    if ids.size == 0 and any(own):
        raise InputError("evaluate.interventions: the evaluation's reasoning holds no id to draw; leave random out")
    return ids
