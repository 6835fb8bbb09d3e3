"""MetaMathQA: rewritten training problems of GSM8K and MATH, for training only (Yu et al. 2023, arXiv 2309.12284)."""

from latent_core.benchmarks.rows import Row
from latent_core.benchmarks.table import Hub, TableBenchmark


def _gold(row: Row) -> str | None:
    parts = (row.answer("response") or "").rsplit("The answer is:", 1)
    return parts[1].strip() if len(parts) == 2 else None


BENCHMARK = TableBenchmark(
    name="metamathqa",
    hub=Hub("meta-math/MetaMathQA", {"train": "train"}),
    question=("query",),
    rationale=("response",),
    gold=_gold,
)
