"""Files that tools for lm-evaluation-harness read."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from latent_core.errors import InputError
from latent_core.evaluation.lm_eval import write_lm_eval

NOW = datetime(2025, 5, 13, 12, 30)


def _row(question: int, sample: int, verdict: str) -> dict[str, Any]:
    return {
        "question_id": f"q{question}", "sample_index": sample, "question": f"{question}?", "gold": "4", "level": None,
        "completion": f"text {sample}", "answer": None if verdict == "truncated" else "4", "verdict": verdict,
        "tokens": 10 * (1 + sample),
    }  # fmt: skip


def _write(folder: Path, rows: list[dict[str, Any]]) -> Path:
    return write_lm_eval(
        folder, {"math ratio 0.5": iter(rows)}, model="a/b", benchmark="math", settings={"temperature": 0.0}, now=NOW
    )


def test_results_and_samples_agree_with_the_rows(tmp_path: Path) -> None:
    rows = [_row(0, 0, "correct"), _row(0, 1, "truncated"), _row(1, 0, "wrong"), _row(1, 1, "wrong")]
    path = _write(tmp_path, rows)
    assert path == tmp_path / "a_b" / "results_2025-05-13T12-30-00.json"
    result = json.loads(path.read_text())
    scores = result["results"]["math ratio 0.5"]
    assert scores["exact_match,none"] == 0.25
    assert scores["exact_match_stderr,none"] == pytest.approx(0.25)  # sd of (0.5, 0) is 0.3536, over √2
    assert scores["tokens,none"] == 15
    assert result["n-samples"] == {"math ratio 0.5": {"original": 2, "effective": 2}}
    lines = (tmp_path / "a_b" / "samples_math_ratio_0.5_2025-05-13T12-30-00.jsonl").read_text().splitlines()
    first, second = map(json.loads, lines)
    assert (first["doc_id"], first["resps"], first["filtered_resps"]) == (0, [["text 0", "text 1"]], ["4", "[invalid]"])
    assert (first["exact_match"], second["exact_match"], second["doc"]["question_id"]) == (0.5, 0.0, "q1")


def test_evaluation_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"math ratio 0\.5 has no rows"):
        _write(tmp_path, [])
