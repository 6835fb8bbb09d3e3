"""MATH: competition problems in five levels, whose solutions box their answer (Hendrycks et al. 2021).

Source: arXiv 2103.03874. The hub's copy has 12,000 training problems and the 500 of MATH-500 as its test split.
"""

from latent_core.benchmarks.rows import Row
from latent_core.benchmarks.table import Hub, TableBenchmark
from latent_core.boxes import boxed_answer


def boxed_gold(row: Row) -> str | None:
    """The answer where a row has it apart, else what the last boxes of its solution hold."""
    return row.answer("answer") or boxed_answer(row.answer("solution") or "")


BENCHMARK = TableBenchmark(
    name="math",
    hub=Hub("nlile/hendrycks-MATH-benchmark", {"train": "train", "test": "test"}),
    question=("problem",),
    rationale=("solution",),
    gold=boxed_gold,
    level="level",
)
