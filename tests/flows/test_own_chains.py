"""Flows that collect take chains of thought that are there already; what they need else is said before they begin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.launch.parameters import load
from flows.launch.plan import plan
from flows.launch.registry import find_flow
from flows.parts.publish import findings
from latent_core.errors import InputError
from latent_core.identity import fingerprint
from latent_core.store import ArtifactRef, ArtifactStore, begin
from tests.support.own_chains import row, solution, write_rows

OTHERS: dict[str, dict[str, Any]] = {
    "tokenskip-math": {"variants": ["standard"]},
    "compare": {"seeds": [1, 2, 3], "compressors": ["latent-compressor", "random"], "latent_arms": []},
    "concise": {"few_shot": None},
    "label-kinds": {"labels": {"questions": 4, "held_out": 2}},
}


def _titles(flow: str, root: Path, **settings: Any) -> list[str]:
    entry = find_flow(flow)
    values = {"store": str(root / "store"), "tracking": {"enabled": False}, "evaluate": {"questions": 5}}
    planned, _ = plan(entry, entry.config.model_validate(values | OTHERS[flow] | settings))
    return [line.title for line in planned.lines]


@pytest.mark.parametrize("flow", list(OTHERS))
def test_every_flow_that_collects_reads_and_grades_instead_of_sampling(flow: str, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.jsonl", *(row(question=f"{n} + 0?", answer=n) for n in range(5)))
    collect = {"source": f"file:{file}", "chains": {"shard_rows": 2}}
    titles = _titles(flow, tmp_path, collect=collect)
    assert titles[:5] == ["read_chains", *(f"grade_chains_shard {n}/3" for n in (1, 2, 3)), "collect"]
    assert "collect_shard" not in " ".join(titles)
    assert "contamination" in titles or flow == "label-kinds"


def test_benchmark_needs_no_training_split_of_its_own(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.jsonl", row())
    test = write_rows(tmp_path / "test.jsonl", {"question": "1 + 1?", "gold": "2"})
    benchmark = {"name": f"file:{test}"}
    assert "report" in _titles("tokenskip-math", tmp_path, benchmark=benchmark, collect={"source": f"file:{file}"})
    with pytest.raises(InputError, match=r"benchmark\.train_path: is not set"):
        _titles("tokenskip-math", tmp_path, benchmark=benchmark)


@pytest.mark.parametrize(
    ("flow", "settings", "message"),
    [
        ("tokenskip-math", {"collect": {"source": "rows.jsonl"}}, r"collect\.source: .*; write file:rows\.jsonl"),
        (
            "tokenskip-math",
            {"collect": {"source": "file:"}},
            r"collect\.source: 'file:' is none of model, file:PATH, hub:",
        ),
        (
            "tokenskip-math",
            {"collect": {"source": "file:a.jsonl", "chains": {"columns": {"question": "q", "answer": "a"}}}},
            r"collect\.chains\.columns\.completion: name the column",
        ),
        (
            "tokenskip-math",
            {"collect": {"source": "file:a.jsonl", "chains": {"columns": {"question": "q", "completion": "c"}}}},
            r"collect\.chains\.columns\.answer: is not set",
        ),
        (
            "tokenskip-math",
            {"collect": {"source": "file:a.jsonl", "chains": {"split": "dev"}}},
            r"collect\.chains\.split: is of data sets of the hub",
        ),
        (
            "concise",
            {"collect": {"source": "file:a.jsonl", "chains": {"subset": "all"}}},
            r"collect\.chains\.subset: is of",
        ),
        ("compare", {"collect": {"chains": {"rows": 5}}}, r"collect\.chains: .* source is model; give file:"),
        (
            "tokenskip-math",
            {"collect": {"source": "file:a.jsonl"}, "warm_start": {"questions": 5}},
            r"warm_start: .* collect\.source file:a\.jsonl samples nothing; drop one",
        ),
        (
            "compare",
            {"collect": {"source": "file:a.jsonl"}, "warm_start": {"questions": 5}},
            r"warm_start: .* samples nothing",
        ),
        ("concise", {"collect": {"source": "file:a.jsonl"}}, r"few_shot: .* set few_shot: null"),
    ],
)
def test_settings_that_contradict_the_source_are_refused(
    flow: str, settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    import yaml

    file = tmp_path / "parameters.yaml"
    file.write_text(yaml.safe_dump(settings))
    with pytest.raises(InputError, match=message):
        load(find_flow(flow).config, file)


def test_terminal_says_what_became_of_the_rows_behind_a_report(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "store"))
    made: dict[str, ArtifactRef] = {}
    for stage, counts in (("read_chains", {"kept": 2, "duplicate": 1}), ("collect", {"kept": 2})):
        made[stage] = ArtifactRef(stage, fingerprint(stage, 1, {}, {}))
        with begin(store, made[stage]) as out:
            out.commit(accounting=counts, metrics={"rows": 3, "rows_without_chain": 1, "questions": 1})
    with begin(store, ArtifactRef("report", "d" * 64)) as out:
        report = out.commit(parents=made)
    (line,) = findings(report)
    assert line.startswith("Chains of thought: 3 rows, 1 of them without") and line.endswith("Left out: duplicate 1.")
    store.set_aside(made["collect"])
    assert findings(report) == []


def test_run_with_a_missing_column_ends_with_one_line_and_status_2(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.jsonl", {"query": "1 + 1?", "output": solution(2), "gold": "2"})
    columns = "{question: qery, completion: output, answer: gold}"
    command = ["plan", "tokenskip-math", "--set", f"collect.source=file:{file}"]
    command += ["--set", f"collect.chains.columns={columns}", "--set", f"store={tmp_path / 'store'}"]
    ended = subprocess.run(
        [sys.executable, "-m", "flows.cli", *command], capture_output=True, text=True, check=False, timeout=300
    )
    assert ended.returncode == 2 and "did you mean 'query'?" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
