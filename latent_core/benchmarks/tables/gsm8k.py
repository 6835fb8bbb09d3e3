"""GSM8K: grade school word problems, whose solutions end in "#### 42" (Cobbe et al. 2021, arXiv 2110.14168)."""

from latent_core.benchmarks.rows import Row
from latent_core.benchmarks.table import Hub, TableBenchmark


def _gold(row: Row) -> str | None:
    return (row.answer("answer") or "").rsplit("####", 1)[-1].strip().replace(",", "") or None


BENCHMARK = TableBenchmark(
    name="gsm8k",
    hub=Hub("openai/gsm8k", {"train": "train", "test": "test"}, config="main"),
    question=("question",),
    rationale=("cot", "answer"),
    gold=_gold,
)
