"""`latent artifacts export`: a table as a file or on standard output, and mistakes in one line."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from latent_core.errors import InputError
from tests.support.exportable import Exportable


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Exportable:
    return Exportable(tmp_path_factory.mktemp("lab"))


def _export(made: Exportable, *words: object) -> str:
    result = CliRunner().invoke(app, ["artifacts", "export", *map(str, words), "--store", made.store.root])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_table_goes_to_standard_output_with_the_columns_and_rows_asked_for(made: Exportable) -> None:
    words = ["--columns", "verdict, question_id,output_token_ids", "--where", "verdict=wrong"]
    lines = _export(made, made.collected.ref, *words).splitlines()
    row = {"verdict": "wrong", "question_id": "q1", "output_token_ids": [2]}
    assert [json.loads(line) for line in lines] == [row, row]  # one in each shard


def test_format_follows_the_name_of_the_file_and_its_table_may_be_filtered_by_an_unwritten_column(
    made: Exportable, tmp_path: Path
) -> None:
    for name in ("a.jsonl", "a.csv", "a.parquet"):
        words = ["validation", "-o", tmp_path / name, "--columns", "input_ids", "--where", "question_id=q1"]
        assert _export(made, made.prepared.ref, *words) == ""
    assert json.loads((tmp_path / "a.jsonl").read_text()) == {"input_ids": [1, 1]}
    with (tmp_path / "a.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"input_ids": "[1, 1]"}]
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == [{"input_ids": [1, 1]}]
    _export(made, made.prepared.ref, "train.parquet", "-o", tmp_path / "b.txt", "--format", "csv")
    assert (tmp_path / "b.txt").read_text().startswith('"question_id"')


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "TABLE: prepare/.* has several; name one of train, validation"),
        (["test"], "TABLE: prepare/.* has no 'test'; it has train, validation"),
        (["train", "--columns", "answer"], "--columns: .*'answer'; the columns are question_id, ratio, input_ids"),
        (["train", "--where", "answer=1"], "--where: .*'answer'; the columns are question_id, ratio, input_ids"),
        (["train", "--format", "xml"], "--format: 'xml' is none of jsonl, csv, parquet"),
        (["train", "--format", "parquet"], "--out: a Parquet file needs a name"),
        (["train", "-o", "OUT/rows.txt"], "--format: rows.txt does not say it"),
        (["train", "-o", "OUT/no/rows.csv"], "--out: there is no folder"),
        (["train", "-o", "OUT/mine.csv"], "--out: .* exists already"),
    ],
)
def test_mistake_is_one_line_that_names_it_and_what_there_is(
    made: Exportable, tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "mine.csv").write_text("mine")
    with pytest.raises(InputError, match=f"^{message}") as told:
        _export(made, made.prepared.ref, *(word.replace("OUT", str(tmp_path)) for word in words))
    assert "\n" not in str(told.value)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"] and (tmp_path / "mine.csv").read_text() == "mine"


def test_artifact_without_a_table_is_refused(made: Exportable) -> None:
    with pytest.raises(InputError, match=r"^ARTIFACT: train/.* has no table"):
        _export(made, made.trained.ref)


def test_reader_that_leaves_early_ends_the_command_without_a_word(made: Exportable) -> None:
    words = ["artifacts", "export", str(made.collected.ref), "--store", made.store.root]
    command = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert command.stdout is not None and command.stderr is not None
    command.stdout.close()
    assert command.stderr.read() == b"" and command.wait() == 0
