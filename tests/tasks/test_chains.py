"""Stages `read_chains` and `grade_chains_shard`: what later stages get is what `collect_shard` would have written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from latent_core.chains import ChainReader
from latent_core.chains.reading import PlacedChain
from latent_core.config.chains import ChainGrading, ChainsConfig
from latent_core.errors import InputError
from latent_core.store import Artifact
from tasks.chains import GradeChains, GradeChainsInputs, ReadChains, ReadChainsInputs, grade_chains, read_chains
from tasks.findings import chains_finding
from tasks.inputs import ChainsInput
from tasks.merge import MERGED, Merge, MergeInputs
from tasks.tables import SAMPLES, chains_table
from tests.support.own_chains import REASONED, row, solution, write_rows
from tests.support.stage_bench import MINI, StageBench


def _read(bench: StageBench, file: Path, shard_rows: int = 100, **settings: Any) -> Artifact:
    found, source = ChainsInput.find(f"file:{file}", ChainsConfig.model_validate(settings))
    config = ReadChains(
        columns=source.columns,
        rows=source.rows,
        shard_rows=shard_rows,
        **{name: settings[name] for name in ("grading", "unmarked") if name in settings},
    )
    return bench.perform(read_chains.call(config, ReadChainsInputs(found)))


def _graded(
    bench: StageBench, read: Artifact, shard: int = 0, grading: ChainGrading = ChainGrading.MATHEMATICS
) -> tuple[Artifact, list[dict[str, Any]]]:
    config = GradeChains(shard=shard, grading=grading)
    artifact = bench.perform(grade_chains.call(config, GradeChainsInputs(MINI, read.ref)))
    return artifact, list(SAMPLES.rows(artifact))


def test_chains_are_graded_and_counted_in_the_models_tokens(bench: StageBench, tmp_path: Path) -> None:
    file = write_rows(
        tmp_path / "rows.jsonl",
        row(),
        row(completion=f"{REASONED} So the answer is 8."),
        row(completion="<think>\nHe starts with"),
        row(completion="I do not know."),
        row(completion=solution(reasoning="3 + 4 = 7 <|im_end|>")),
    )
    artifact, rows = _graded(bench, _read(bench, file))
    assert [item["verdict"] for item in rows] == ["correct", "wrong", "truncated", "unparsed"]
    assert [item["reasoning"] for item in rows][:3] == [REASONED, REASONED, "He starts with"]
    assert [item["answer"] for item in rows] == ["7", "8", None, None]
    assert [item["finish_reason"] for item in rows] == ["stop", "stop", "length", "stop"]
    assert artifact.manifest.content.accounting == {"kept": 4, "control_token": 1}
    assert artifact.manifest.content.metrics["verdicts"] == dict.fromkeys(
        ("correct", "wrong", "truncated", "unparsed"), 1
    )
    model = bench.model()
    first = rows[0]
    assert model.decode(first["output_token_ids"]) == f"{REASONED}\n</think>\n\nThe answer is \\boxed{{7}}.<|im_end|>"
    assert first["reasoning_tokens"] == model.count(REASONED) < first["tokens"] == len(first["output_token_ids"])
    assert first["completion"] == f"<think>{REASONED}</think>The answer is \\boxed{{7}}."
    assert model.decode(first["prompt_token_ids"]).endswith("<think>\n")


def test_questions_lie_together_in_the_shard_of_their_first_row(bench: StageBench, tmp_path: Path) -> None:
    texts = [("1 + 1?", "2", 0), ("2 + 2?", "4", 0), ("1 + 1?", "2", 1), ("3 + 3?", "6", 0), ("2 + 2?", "4", 1)]
    rows = [row(question=q, completion=f"{'so ' * n}\\boxed{{{a}}}", answer=a) for q, a, n in texts]
    read = _read(bench, write_rows(tmp_path / "rows.jsonl", *rows), shard_rows=2)
    shards = [[(item["question_id"], item["sample_index"]) for item in _graded(bench, read, n)[1]] for n in range(3)]
    assert shards == [[("row_0", 0), ("row_0", 1), ("row_1", 0), ("row_1", 1)], [("row_3", 0)], []]
    assert read.manifest.content.metrics == {"rows": 5, "rows_without_chain": 0, "questions": 3, "late": 2}
    assert read.manifest.content.accounting == {"kept": 5}
    assert sum(1 for _ in chains_table(0, is_late=True).rows(read)) == 2


def test_trusted_chains_are_correct_and_their_own_answer_stands_for_a_missing_one(
    bench: StageBench, tmp_path: Path
) -> None:
    columns = {"question": "question", "completion": "completion"}
    texts = (solution(8), "no answer at all", "<think>cut")
    file = write_rows(tmp_path / "rows.jsonl", *(row(completion=text) for text in texts))
    settings: dict[str, Any] = {"columns": columns, "grading": ChainGrading.TRUSTED}
    artifact, rows = _graded(bench, _read(bench, file, **settings), grading=ChainGrading.TRUSTED)
    assert [(item["verdict"], item["gold"]) for item in rows] == [("correct", "8"), ("truncated", "")]
    assert artifact.manifest.content.accounting == {"kept": 2, "no_answer": 1}


def _collected(question: int, sample: int, response: str, **more: object) -> dict[str, Any]:
    """A row of the shell pipeline: graded by itself, and not always well."""
    return {
        "benchmark": "math",
        "source_id": f"math_train_{question}_s{sample}",
        "question_source_id": f"math_train_{question}",
        "sample_index": sample,
        "question": f"How much is {question} + 2?",
        "gold_answer": str(question + 2),
        "prompt_format": "paper",
        "response_text": response,
        "reasoning": "not read",
        "answer": "999",
        "is_correct": True,
        "reasoning_token_count": 1,
        "response_token_count": 2,
        **more,
    }


def test_jsonl_of_the_shell_pipeline_is_read_as_it_is(bench: StageBench, tmp_path: Path) -> None:
    rows = [
        _collected(5, 0, "5 + 2 = 7.\n</think>\n\nThe answer is \\boxed{7}.", is_correct=False),
        _collected(5, 1, "It is 8.\n</think>\n\n\\boxed{8}"),
        _collected(2, 0, "Let me see: \\boxed{4} or"),
        _collected(2, 1, "<think>\n2 + 2 = 4.\n</think>\n\n\\boxed{4}", reasoning=None, answer=None),
    ]
    read = _read(bench, write_rows(tmp_path / "math_raw_original_merged.jsonl", *rows), unmarked="cut")
    _, found = _graded(bench, read)
    assert [(item["question_id"], item["sample_index"], item["verdict"], item["gold"]) for item in found] == [
        ("math_train_5", 0, "correct", "7"),
        ("math_train_5", 1, "wrong", "7"),
        ("math_train_2", 0, "truncated", "4"),
        ("math_train_2", 1, "correct", "4"),
    ]
    assert [item["reasoning"] for item in found] == [
        "5 + 2 = 7.",
        "It is 8.",
        "Let me see: \\boxed{4} or",
        "2 + 2 = 4.",
    ]


def test_letters_are_graded_as_letters(bench: StageBench, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.jsonl", row(completion="<think>x</think>The answer is (B).", answer="B"))
    read = _read(bench, file, grading=ChainGrading.LETTER)
    assert [item["verdict"] for item in _graded(bench, read, grading=ChainGrading.LETTER)[1]] == ["correct"]


def test_table_that_changed_since_the_run_was_planned_is_refused(bench: StageBench, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.jsonl", row())
    found, source = ChainsInput.find(f"file:{file}", ChainsConfig())
    write_rows(file, row(), row())
    config = ReadChains(columns=source.columns, rows=1, shard_rows=9)
    with pytest.raises(InputError, match=r"rows\.jsonl changed on disk"):
        bench.perform(read_chains.call(config, ReadChainsInputs(found)))


def test_table_that_changes_while_it_is_read_is_refused(
    bench: StageBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_rows(tmp_path / "rows.jsonl", row(), row(completion=solution(8)))
    placed = ChainReader.placed

    def placed_and_cut(reader: ChainReader) -> Iterator[PlacedChain]:
        yield from placed(reader)
        write_rows(file, row())

    monkeypatch.setattr(ChainReader, "placed", placed_and_cut)
    with pytest.raises(InputError, match=r"rows\.jsonl changed on disk"):
        _read(bench, file)


def test_report_and_terminal_say_what_became_of_the_rows(bench: StageBench, tmp_path: Path) -> None:
    odd = [row(answer=None), row(completion="\\boxed{8}"), row(completion=solution(reasoning="<|im_end|>"))]
    read = _read(bench, write_rows(tmp_path / "rows.jsonl", row(), row(), *odd))
    shard, _ = _graded(bench, read)
    merged = bench.perform(MERGED["collect"].call(Merge(shards=1), MergeInputs((shard.ref,))))
    assert chains_finding(read, merged) == (
        "Chains of thought: 5 rows, 2 of them without a usable one; 2 chains of 1 questions (correct 1, wrong 1). "
        "Left out: control_token 1, duplicate 1, no_answer 1."
    )
    bench.store.set_aside(shard.ref)
    assert "1 questions. Left out" in chains_finding(read, merged)
