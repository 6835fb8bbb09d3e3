"""A report's tables as CSV, LaTeX and PDF."""

from __future__ import annotations

import csv
import io
import re

from latent_core.report import Evaluation, build_entries
from latent_core.report.exports import latex_tables, latex_text, paired_csv, pdf_tables, results_csv
from latent_core.report.paired import Paired, build_paired
from latent_core.report.table import Results, results

HOSTILE = "50 % & $x_1$ #{~^} \\input{/etc/passwd} <b>|\n−3 “q” "


def test_csv_has_unrounded_numbers_and_empty_cells_for_what_is_not_known(evaluations: list[Evaluation]) -> None:
    rows = list(csv.DictReader(io.StringIO(results_csv(build_entries(evaluations)))))
    assert [row["model"] for row in rows[:2]] == ["base", "standard"]
    assert [(row["ratio"], row["accuracy"]) for row in rows[:2]] == [("0.5", "0.5"), ("1.0", "1.0")]
    assert rows[0]["against_ratio_1"] == "" and float(rows[2]["against_ratio_1"]) == -0.25
    paired = list(csv.DictReader(io.StringIO(paired_csv(build_paired(evaluations)))))
    assert {row["family"] for row in paired} >= {"Against ratio 1 of the same model", "Variants at equal ratio"}
    assert all(None not in row and float(row["difference_low"]) <= float(row["difference"]) for row in paired)
    assert paired_csv(Paired()) == ""


def test_latex_text_escapes_every_sign_that_means_something() -> None:
    text = latex_text(HOSTILE)
    assert text.startswith(r"50 \% \& \$x\_1\$ \#\{\textasciitilde{}\textasciicircum{}\} \textbackslash{}input\{/etc")
    assert "$-$3" in text and "\n" not in text
    assert not re.search(r"(?<!\\)[%&#_]", text)


def test_latex_tables_are_booktabs_with_as_many_cells_as_columns(evaluations: list[Evaluation]) -> None:
    table = results(build_entries(evaluations))
    text = latex_tables({"Results": table, HOSTILE: Results(["a", HOSTILE], [False, True], [["[1]", HOSTILE]])})
    lines = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert text.count("\\toprule") == text.count("\\bottomrule") == text.count("\\end{tabular}") == 2
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines[:-2]} == {len(table.titles) - 1}
    assert r"\\" + "\n[" not in text


def test_pdf_has_a_page_a_table_and_the_same_bytes_for_the_same_tables(evaluations: list[Evaluation]) -> None:
    table = results(build_entries(evaluations))
    tables = {"Results": table, "$m_2$": Results(["a"], [False], [[HOSTILE]])}
    made = pdf_tables(tables)
    assert made.startswith(b"%PDF-") and made == pdf_tables(tables)
    assert len(re.findall(rb"/Type /Page\b", made)) == 2
    assert b"CreationDate" not in made


def test_exports_of_a_table_without_rows_are_files_all_the_same() -> None:
    tables = {"empty": Results(["a", "b"], [False, True], [])}
    assert pdf_tables(tables).startswith(b"%PDF-") and latex_tables(tables).startswith("%")
    assert results_csv([]) == ""
