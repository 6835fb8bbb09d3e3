"""One graded sample as HTML, or the same question of two models side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from latent_core.think_marks import THINK_CLOSE, THINK_OPEN
from latent_core.ui.graded import Evaluated, why
from latent_core.ui.markup import escape, with_boxes

Row = Mapping[str, Any]


class Written(NamedTuple):
    """A completion as it is shown: its reasoning, and what comes after. One that has no reasoning is all `answer`."""

    reasoning: str
    answer: str


def written(row: Row) -> Written:
    """A sample's completion without think marks; latent tokens are the text that they stand for."""
    completion, reasoning = str(row["completion"]), str(row["reasoning"] or "").strip()
    place = completion.find(reasoning) if reasoning else -1
    before, after = ("", completion) if place < 0 else (completion[:place], completion[place + len(reasoning) :])
    rest = f"{before.replace(THINK_OPEN, '')}{after.replace(THINK_OPEN, '').replace(THINK_CLOSE, '')}"
    return Written(reasoning if place >= 0 else "", rest.strip())


def sample(question: str, gold: str, columns: Sequence[tuple[Evaluated, Row | None]]) -> str:
    """The question and its right answer, and below one column an evaluation; None where it has no such sample."""
    head = (
        f"<div class='question'><p>{with_boxes(question.strip())}</p><p class='small'>gold answer: "
        f"<b>{escape(gold)}</b></p></div>"
    )
    cards = "".join(_card(evaluated, row) for evaluated, row in columns)
    return f"{head}<div class='columns graded'>{cards}</div>"


def _card(evaluated: Evaluated, row: Row | None) -> str:
    title = f"<h4>{escape(evaluated.name)}</h4>"
    if row is None:
        return f"<section>{title}<p class='small'>This evaluation has no such sample.</p></section>"
    verdict = str(row["verdict"])
    facts = [
        ("answer", "none" if row["answer"] is None else str(row["answer"])),
        ("gold", str(row["gold"])),
        (
            "ended",
            "cut at the limit (length)" if row["finish_reason"] == "length" else f"by itself ({row['finish_reason']})",
        ),
        ("tokens", f"{row['tokens']:,}, of them {row['reasoning_tokens']:,} of reasoning{_latent(row)}"),
        *([("level", str(row["level"]))] if row["level"] is not None else []),
    ]
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts)
    parts = written(row)
    is_latent = bool(row["latent_tokens"])
    reasoning = (
        f"<h5>Reasoning{', decoded from latent tokens' if is_latent else ''}</h5>"
        f"<div class='text reasoning{' decoded-latent' if is_latent else ''}'>{with_boxes(parts.reasoning)}</div>"
        if parts.reasoning
        else "<p class='small'>No reasoning of its own was found.</p>"
    )
    answer = f"<h5>Answer</h5><div class='text answer'>{with_boxes(parts.answer)}</div>" if parts.answer else ""
    reason = f"<p class='why'><b class='verdict {escape(verdict)}'>{escape(verdict)}</b> {escape(why(row))}</p>"
    table = f"<div class='wide'><table class='plain facts-of'><tbody>{rows}</tbody></table></div>"
    return f"<section>{title}{reason}{reasoning}{answer}{table}</section>"


def _latent(row: Row) -> str:
    return f", {row['latent_tokens']:,} latent" if row["latent_tokens"] else ""
