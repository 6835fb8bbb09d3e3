"""MMLU: multiple choice in 57 subjects, which are the report's levels (Hendrycks et al. 2021, arXiv 2009.03300)."""

import re

from latent_core.benchmarks.forms import Grader, PromptForm
from latent_core.benchmarks.rows import Row
from latent_core.benchmarks.table import Hub, TableBenchmark

MOST_OPTIONS = 10  # A to J, what the grader reads


def _gold(row: Row) -> str | None:
    """The letter of `answer`: a place counted from 0 (as on the hub), or the letter itself."""
    text, options = (row.answer("answer") or "").strip().upper(), row.options("choices")
    place = int(text) if text.isdecimal() else ord(text) - ord("A") if re.fullmatch("[A-J]", text) else -1
    return chr(ord("A") + place) if 0 <= place < min(len(options), MOST_OPTIONS) else None


BENCHMARK = TableBenchmark(
    name="mmlu",
    hub=Hub("cais/mmlu", {"train": "auxiliary_train", "validation": "validation", "test": "test"}, config="all"),
    question=("question",),
    gold=_gold,
    level="subject",
    prompt=PromptForm.OPTIONS,
    grader=Grader.LETTER,
)
