"""Any local table with a question and a gold answer in each row, and a solution and a level where it has them."""

from latent_core.benchmarks.table import Row, TableBenchmark


def _gold(row: Row) -> str | None:
    return next((str(row[column]) for column in ("gold", "answer") if row.get(column) is not None), None)


BENCHMARK = TableBenchmark(
    name="file",
    hub=None,
    question=("question", "problem"),
    rationale=("rationale", "solution"),
    gold=_gold,
    level="level",
)
