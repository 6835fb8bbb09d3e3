"""Table benchmarks, one file each: a module here that sets BENCHMARK is a benchmark, and nothing else names it."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module

from latent_core.benchmarks.table import TableBenchmark
from latent_core.errors import InputError


def table_benchmarks() -> Mapping[str, TableBenchmark]:
    """All table benchmarks by name; raises InputError when two files declare the same."""
    return _declared_in(tuple(__path__))


@lru_cache(maxsize=1)
def _declared_in(folders: tuple[str, ...]) -> Mapping[str, TableBenchmark]:
    found: dict[str, TableBenchmark] = {}
    for module in pkgutil.iter_modules(folders):
        benchmark: TableBenchmark = import_module(f"{__name__}.{module.name}").BENCHMARK
        if benchmark.name in found:
            raise InputError(f"benchmark {benchmark.name!r} is declared by two files in {', '.join(folders)}")
        found[benchmark.name] = benchmark
    return found
