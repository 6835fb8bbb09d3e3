"""MATH-500: the 500 test problems of Lightman et al. (2023), arXiv 2305.20050."""

from latent_core.benchmarks.table import Hub, TableBenchmark
from latent_core.benchmarks.tables.math import boxed_gold

BENCHMARK = TableBenchmark(
    name="math500",
    hub=Hub("HuggingFaceH4/MATH-500", {"test": "test"}),
    question=("problem",),
    rationale=("solution",),
    gold=boxed_gold,
    level="level",
)
