"""The same question under every condition, side by side, with the reasoning told apart from the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from latent_core.report.entries import ReportEntry, Row
from latent_core.report.numbers import whole

LONGEST_TEXT = 6000  # characters of a completion shown; the artifact has the rest


@dataclass(frozen=True)
class SampleColumn:
    """One condition's output: `before`, `reasoning` and `after` together are its text, as far as it is shown."""

    condition: str
    outcome: str | None = None
    facts: str = ""
    before: str = ""
    reasoning: str = ""
    after: str = ""
    latent: str | None = None
    left_out: int = 0


@dataclass
class ComparedQuestion:
    """A question with every model's columns, in the order of the report."""

    question: str
    gold: str
    name: str
    models: dict[str, list[SampleColumn]] = field(default_factory=dict)


def compared_samples(entries: Sequence[ReportEntry]) -> list[ComparedQuestion]:
    """All sampled questions in order of appearance; a condition that has not sampled one keeps an empty column."""
    by_entry = [{_key(row): row for row in entry.samples} for entry in entries]
    rows = {key: row for samples in reversed(by_entry) for key, row in samples.items()}
    ordered = dict.fromkeys(key for samples in by_entry for key in samples)
    compared = []
    for key in ordered:
        name = key[0] if key[1] == 0 else f"{key[0]}, sample {key[1]}"
        question = ComparedQuestion(str(rows[key]["question"]).strip(), str(rows[key]["gold"]), name)
        for entry, samples in zip(entries, by_entry, strict=True):
            column = sample_column(entry.name, samples[key]) if key in samples else SampleColumn(entry.name)
            question.models.setdefault(entry.model, []).append(column)
        compared.append(question)
    return compared


def _key(row: Row) -> tuple[str, int]:
    return str(row["question_id"]), int(row["sample_index"])


def sample_column(condition: str, row: Row) -> SampleColumn:
    """One output of an evaluation, as it is shown under the name of its condition."""
    before, reasoning, after = _parts(str(row["completion"]).strip(), str(row["reasoning"] or "").strip())
    length = len(before) + len(reasoning) + len(after)
    room = LONGEST_TEXT
    before, room = before[:room], max(0, room - len(before))
    reasoning, room = reasoning[:room], max(0, room - len(reasoning))
    after = after[:room]
    answer = f", answer {row['answer']}" if row["answer"] is not None else ""
    return SampleColumn(
        condition=condition,
        outcome=str(row["verdict"]),
        facts=f"{whole(row['tokens'])} tokens, {whole(row['reasoning_tokens'])} reasoning{answer}",
        before=before,
        reasoning=reasoning,
        after=after,
        latent=_latent(row),
        left_out=length - len(before) - len(reasoning) - len(after),
    )


def _parts(completion: str, reasoning: str) -> tuple[str, str, str]:
    """Split a completion around its reasoning; one that does not contain it verbatim is shown whole, unmarked."""
    place = completion.find(reasoning) if reasoning else -1
    if place < 0:
        return completion, "", ""
    return completion[:place], reasoning, completion[place + len(reasoning) :]


def _latent(row: Row) -> str | None:
    """How much of the reasoning is latent, in words; None if nothing is."""
    latent: Any = row["latent_tokens"]
    if not latent:
        return None
    if latent >= row["reasoning_tokens"]:
        return "latent"
    return f"{whole(latent)} of {whole(row['reasoning_tokens'])} tokens latent"
