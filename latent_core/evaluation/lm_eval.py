"""An evaluation in the files of lm-evaluation-harness: `results_DATE.json`, and one `samples_TASK_DATE.jsonl` a task.

Source: lm-evaluation-harness 0.4, `EvaluationTracker`. A task here is a benchmark under one condition. Fields:

- results: `results[TASK]` holds `exact_match,none` (mean over questions of the share of right samples),
  `exact_match_stderr,none` and the mean output length `tokens,none`; `n-samples`, `n-shot`, `versions`, `configs` and
  `higher_is_better` are by task; `config` and `model_name` say what was evaluated.
- samples, one line a question: `doc_id`, `doc` (question_id, question, answer, level), `target`, `arguments` (the
  question; the rendered prompt is in the artifact as token ids), `resps` (one list with every sample's text),
  `filtered_resps` (the extracted answers, "[invalid]" for none), `exact_match`, and `doc_hash`, `target_hash`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from latent_core.errors import InputError

Row = Mapping[str, Any]
INVALID = "[invalid]"  # the harness' own mark for an answer that no filter could extract
VERSION = 1.0


def write_lm_eval(
    directory: Path,
    evaluations: Mapping[str, Iterable[Row]],
    *,
    model: str,
    benchmark: str,
    settings: Mapping[str, Any],
    now: datetime,
) -> Path:
    """Write all conditions (task name → rows of the evaluation) below DIRECTORY/MODEL; returns the results file.

    Raises InputError when there are no evaluations, or one has no rows.
    """
    if not evaluations:
        raise InputError("lm-eval: there are no evaluations to write")
    stamp = now.isoformat().replace(":", "-")
    folder = directory / _file_name(model)
    folder.mkdir(parents=True, exist_ok=True)
    results, counts = {}, {}
    for task, rows in evaluations.items():
        samples = _samples(rows)
        if not samples:
            raise InputError(f"lm-eval: the evaluation {task} has no rows")
        lines = "".join(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples)
        (folder / f"samples_{_file_name(task)}_{stamp}.jsonl").write_text(lines, encoding="utf-8")
        results[task] = {"alias": task, **_aggregate(samples)}
        counts[task] = {"original": len(samples), "effective": len(samples)}
    document = {
        "results": results,
        "group_subtasks": {task: [] for task in results},
        "configs": {
            task: {"task": task, "dataset_path": benchmark, "output_type": "generate_until", "num_fewshot": 0}
            for task in results
        },
        "versions": dict.fromkeys(results, VERSION),
        "n-shot": dict.fromkeys(results, 0),
        "higher_is_better": {task: {"exact_match": True} for task in results},
        "n-samples": counts,
        "config": {"model": "latent", "model_args": f"pretrained={model}", "gen_kwargs": dict(settings)},
        "date": now.timestamp(),
        "model_source": "latent",
        "model_name": model,
        "model_name_sanitized": _file_name(model),
    }
    path = folder / f"results_{stamp}.json"
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")
    return path


def _samples(rows: Iterable[Row]) -> list[dict[str, Any]]:
    questions: dict[str, dict[str, Any]] = {}
    tokens: dict[str, list[int]] = {}
    for row in rows:
        name = str(row["question_id"])
        sample = questions.setdefault(name, _sample(row, len(questions)))
        sample["resps"][0].append(row["completion"])
        sample["filtered_resps"].append(INVALID if row["answer"] is None else row["answer"])
        sample["exact_match"] += row["verdict"] == "correct"
        tokens.setdefault(name, []).append(row["tokens"])
    for name, sample in questions.items():
        sample["exact_match"] /= len(sample["filtered_resps"])
        sample["tokens"] = sum(tokens[name]) / len(tokens[name])
    return list(questions.values())


def _sample(row: Row, place: int) -> dict[str, Any]:
    doc = {"question_id": row["question_id"], "question": row["question"], "answer": row["gold"], "level": row["level"]}
    return {
        "doc_id": place,
        "doc": doc,
        "target": row["gold"],
        "arguments": {"gen_args_0": {"arg_0": row["question"], "arg_1": {}}},
        "resps": [[]],
        "filtered_resps": [],
        "filter": "none",
        "metrics": ["exact_match"],
        "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
        "target_hash": _hash(str(row["gold"])),
        "exact_match": 0.0,
    }


def _aggregate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    scores = [sample["exact_match"] for sample in samples]
    mean = math.fsum(scores) / len(scores)
    spread = math.fsum((score - mean) ** 2 for score in scores)
    error: float | str = math.sqrt(spread / (len(scores) - 1) / len(scores)) if len(scores) > 1 else "N/A"
    tokens = math.fsum(sample["tokens"] for sample in samples) / len(samples)
    return {"exact_match,none": mean, "exact_match_stderr,none": error, "tokens,none": tokens}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip("_")
