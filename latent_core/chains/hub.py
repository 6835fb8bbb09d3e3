"""A data set of the hub as rows: the revision pins its content, `datasets` keeps it on disk."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from latent_core.benchmarks.rows import Row
from latent_core.benchmarks.values import Unusable
from latent_core.config.chains import HUB_PREFIX
from latent_core.errors import InputError
from latent_core.hub import failures, reason

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubTable:
    """A split of a data set; `content` names its commit, configuration and split."""

    content: str
    rows: int
    columns: tuple[str, ...]
    read: Callable[[Sequence[str] | None], Iterator[Row | Unusable]]


def open_dataset(source: str, subset: str | None, split: str) -> HubTable:
    """Open `hub:NAME[@REVISION]`: of a branch or tag its present commit; a commit in full is not asked for again.

    Raises InputError for a data set, revision, configuration or split that is not there, or a hub that is not reached.
    """
    from datasets import load_dataset
    from datasets.exceptions import DatasetGenerationError
    from huggingface_hub import HfApi

    name, _, revision = source.removeprefix(HUB_PREFIX).partition("@")
    try:
        commit = revision if _COMMIT.fullmatch(revision) else HfApi().dataset_info(name, revision=revision or None).sha
        table = load_dataset(name, subset, split=split, revision=commit)
    except _failures() as error:
        why = reason(error.__cause__ if isinstance(error, DatasetGenerationError) and error.__cause__ else error)
        raise InputError(
            f"collect.source: {source}, split {split!r}, cannot be read from the hub ({why}); check "
            "collect.chains.split and subset, set HF_HUB_OFFLINE=0 with a network, or give file:PATH"
        ) from error

    def read(columns: Sequence[str] | None) -> Iterator[Row | Unusable]:
        wanted = table if columns is None else table.select_columns(list(columns))
        return (Row(dict(row), f"row {number} of {name}") for number, row in enumerate(wanted, 1))

    return HubTable(f"{commit}/{subset or ''}/{split}", len(table), tuple(table.column_names), read)


def _failures() -> tuple[type[Exception], ...]:
    """Also what `datasets` raises for files that it cannot load, a data set that is a script, a file without rows."""
    from datasets.exceptions import DatasetGenerationError

    return (*failures(), DatasetGenerationError, RuntimeError, StopIteration)
