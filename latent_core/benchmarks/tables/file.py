"""Any local table with a question and a gold answer in each row, and a solution and a level where it has them."""

from latent_core.benchmarks.table import TableBenchmark

BENCHMARK = TableBenchmark(
    name="file",
    hub=None,
    question=("question", "problem"),
    rationale=("rationale", "solution"),
    gold=lambda row: row.answer("gold", "answer"),
    level="level",
)
