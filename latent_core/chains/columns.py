"""Which column of a table of chains of thought holds what: as the parameters say, or as known tables have them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from latent_core.config.chains import ChainColumns, ChainGrading
from latent_core.errors import InputError

KNOWN: dict[str, tuple[ChainColumns, ...]] = {
    "LatentReasoning's and TokenSkip's pipelines": (
        ChainColumns(
            question="question", completion="response_text", answer="gold_answer", id="source_id", sample="sample_index"
        ),
        ChainColumns(question="question", completion="response_text", answer="gold_answer", id="source_id"),
    ),
    "OpenR1-Math": (ChainColumns(question="problem", completion="generations", answer="answer", id="uuid"),),
    "s1K": (
        ChainColumns(
            question="question",
            reasoning="deepseek_thinking_trajectory",
            completion="deepseek_attempt",
            answer="solution",
        ),
        ChainColumns(question="question", reasoning="thinking_trajectories", completion="attempt", answer="solution"),
    ),
    "NuminaMath": (
        ChainColumns(question="problem", completion="solution", answer="answer"),
        ChainColumns(question="problem", completion="solution", answer="solution"),
    ),
    "plain": (
        ChainColumns(question="question", completion="completion", answer="answer", id="id", sample="sample_index"),
        ChainColumns(question="question", completion="completion", answer="answer", id="id"),
        ChainColumns(question="question", completion="completion", answer="answer"),
        ChainColumns(question="question", reasoning="reasoning", answer="answer", id="id"),
        ChainColumns(question="question", reasoning="reasoning", answer="answer"),
    ),
}
"""Tables that need no mapping. The first whose columns are all there is meant."""
_SHOWN = 20  # columns that a message lists at most


def settled_columns(
    asked: ChainColumns | None, there: Sequence[str], where: str, grading: ChainGrading
) -> ChainColumns:
    """The columns to read. Raises InputError, with the nearest names, for one that is not there, and where no columns
    were asked for and the table is none of the known."""
    if asked is None:
        return _recognised(there, where)
    for role, column in asked.named().items():
        if column not in there:
            raise InputError(
                f"collect.chains.columns.{role}: {where} has no column {column!r}; {_instead(column, there)}"
            )
    if asked.answer is None and grading is not ChainGrading.TRUSTED:
        raise InputError("collect.chains.columns.answer: is not set; name the column of right answers")
    return asked


def _recognised(there: Sequence[str], where: str) -> ChainColumns:
    for tables in KNOWN.values():
        for columns in tables:
            if set(columns.named().values()) <= set(there):
                return columns
    raise InputError(
        f"collect.chains.columns: is not set, and {where} has the columns of no known table ({', '.join(KNOWN)}); name "
        f"question, completion (or reasoning) and answer among {_listed(there)}"
    )


def _instead(column: str, there: Sequence[str]) -> str:
    folded = {name.casefold(): name for name in there}
    near = difflib.get_close_matches(column.casefold(), folded, 3, 0.6)
    meant = f"did you mean {' or '.join(repr(folded[name]) for name in near)}? " if near else ""
    return f"{meant}It has {_listed(there)}"


def _listed(there: Sequence[str]) -> str:
    more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
    return f"{', '.join(there[:_SHOWN]) or 'none'}{more}"
