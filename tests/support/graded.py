"""A run of three evaluations in a store: two models at ratio 0.5, one of them also at ratio 1."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latent_core.generate.completions import sample_schema
from latent_core.identity import fingerprint
from latent_core.store import ArtifactRef, ArtifactStore, begin
from latent_core.ui.graded import Evaluated, EvaluatedRun

TABLE = "samples.parquet"
QUESTIONS = 25


def graded_row(index: int, verdict: str = "correct", **changes: Any) -> dict[str, Any]:
    """Question `index` of level 1 to 3, answered rightly unless told otherwise."""
    answer = {"correct": str(index), "wrong": "-1"}.get(verdict)
    reasoning = f"we count to {index}"
    closing = "" if answer is None else f"</think>\n\nThe answer is $\\boxed{{{answer}}}$"
    return {
        "question_id": f"q{index}",
        "sample_index": 0,
        "question": f"What is {index}?",
        "gold": str(index),
        "level": str(index % 3 + 1),
        "prompt_token_ids": [1],
        "output_token_ids": [2],
        "finish_reason": "length" if verdict == "truncated" else "stop",
        "completion": f"<think>{reasoning}{closing}",
        "reasoning": reasoning,
        "answer": answer,
        "verdict": verdict,
        "tokens": 10 + index,
        "reasoning_tokens": 4,
        "latent_tokens": 0,
        **changes,
    }


def evaluated(
    store: ArtifactStore, letter: str, model: str, ratio: float, verdicts: dict[int, str], questions: int = QUESTIONS
) -> Evaluated:
    """An evaluation whose verdicts are correct but for those given."""
    with begin(store, ArtifactRef("evaluate", letter * 64)) as out:
        with out.table(TABLE, sample_schema()) as table:
            table.extend(graded_row(index, verdicts.get(index, "correct")) for index in range(questions))
        return Evaluated(model, f"ratio {ratio:g}", ratio, out.commit())


def run_in(root: Path) -> EvaluatedRun:
    """dual at 0.5 (3 wrong, 1 truncated, 1 unparsed) and at 1; standard at 0.5 without the last question."""
    store = ArtifactStore(root)
    verdicts = {1: "wrong", 4: "wrong", 24: "wrong", 7: "truncated", 8: "unparsed"}
    return EvaluatedRun(
        "report/ab",
        "A run",
        (
            evaluated(store, "a", "dual", 0.5, verdicts),
            evaluated(store, "b", "dual", 1.0, {}),
            evaluated(store, "c", "standard", 0.5, {1: "wrong", 2: "wrong"}, QUESTIONS - 1),
        ),
    )


def report_in(
    store: ArtifactStore, title: str, parents: Mapping[str, ArtifactRef], started: float = 0.0
) -> ArtifactRef:
    """An empty report of this title, made from `parents`, by role."""
    config = {"title": title}
    identity = fingerprint("report", 1, config, {role: ref.fingerprint for role, ref in parents.items()})
    with begin(store, ArtifactRef("report", identity)) as out:
        return out.commit(config=config, parents=parents, record={"started": started}).ref
