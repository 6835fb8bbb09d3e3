"""How a dual vocabulary lies on disk: `dual_vocab.json`, the same object in `config.json`, and the reference's file.

The version-1 object has `version`, `mode`, `visible_size`, `latent_size`, `think_start_id`, `think_end_id`, `eos_ids`,
`custom_tokens`, `latents_trained` and `source_runs`: pairs `[first, count]` that stand for the ids `first`,
`first + 1`, ...; a pair `[-1, count]` is `count` latents without source. Runs keep the config of a full copy short.

Of the reference's `dual_vocab_meta.json` these keys are read, the first that is there: `visible_size`,
`visible_vocab_size`, `original_vocab_size`, `base_vocab_size`; `latent_size`, `latent_vocab_size`, `num_latent_tokens`;
`think_start_id`, `think_start_token_id`, `think_token_id`; `think_end_id`, `think_end_token_id`; `eos_ids`,
`eos_token_ids`, `eos_token_id` (else `generation_config.json`, `config.json`); `mode`, `latent_mode`; `source_ids`,
`latent_source_ids`, `latent_to_visible`. Without sources, mode full_copy means `source_ids[i] = i`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from latent_core.atomic import atomic_file
from latent_core.config.dual import LatentMode
from latent_core.errors import InputError

NO_SOURCE = -1
FILE_NAME = "dual_vocab.json"
CONFIG_KEY = "dual_vocab"
REFERENCE_FILE_NAME = "dual_vocab_meta.json"
VERSION = 1


class Layout(NamedTuple):
    """What a file tells of a dual vocabulary: the fields of `DualVocabulary`, in its order."""

    visible_size: int
    source_ids: tuple[int, ...]
    think_start_id: int
    think_end_id: int
    eos_ids: tuple[int, ...]
    mode: str
    custom_tokens: tuple[str, ...] = ()
    latents_trained: bool = False


def to_json(layout: Layout) -> dict[str, Any]:
    """The version-1 object."""
    return {
        "version": VERSION,
        "mode": layout.mode,
        "visible_size": layout.visible_size,
        "latent_size": len(layout.source_ids),
        "think_start_id": layout.think_start_id,
        "think_end_id": layout.think_end_id,
        "eos_ids": list(layout.eos_ids),
        "source_runs": [list(run) for run in runs_of(layout.source_ids)],
        "custom_tokens": list(layout.custom_tokens),
        "latents_trained": layout.latents_trained,
    }


def from_json(stored: Mapping[str, Any]) -> Layout:
    """The layout in a version-1 object. Raises `InputError` on anything else."""
    if stored.get("version") != VERSION:
        raise InputError(f"version is {stored.get('version')!r}, this code reads {VERSION}: build it again")
    missing = {"visible_size", "latent_size", "think_start_id", "think_end_id", "source_runs", "eos_ids"} - set(stored)
    if missing:
        raise InputError(f"{', '.join(sorted(missing))} missing: build the dual model again")
    return Layout(
        visible_size=stored["visible_size"],
        source_ids=_expand(stored["source_runs"], stored["latent_size"]),
        think_start_id=stored["think_start_id"],
        think_end_id=stored["think_end_id"],
        eos_ids=tuple(_of_type(stored, "eos_ids", list, [])),
        mode=_mode(stored),
        custom_tokens=tuple(_of_type(stored, "custom_tokens", list, [])),
        latents_trained=_of_type(stored, "latents_trained", bool, False),
    )


def _of_type(stored: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    value = stored.get(name, default)
    if not isinstance(value, kind):
        raise InputError(f"{name} is {value!r}, no {kind.__name__}")
    return value


def _mode(stored: Mapping[str, Any]) -> str:
    mode: str = _of_type(stored, "mode", str, "full_copy")
    if mode not in list(LatentMode):
        raise InputError(f"mode is {mode!r}, none of {', '.join(LatentMode)}")
    return mode


def is_dual(model_dir: Path) -> bool:
    """Whether a model directory holds a dual model that was built here."""
    return (model_dir / FILE_NAME).is_file()


def write_layout(layout: Layout, directory: Path) -> None:
    """Write `dual_vocab.json` and, where `directory` holds a `config.json`, its `dual_vocab` key."""
    stored = to_json(layout)
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / FILE_NAME, stored)
    config_path = directory / "config.json"
    if config_path.exists():
        write_json(config_path, {**read_json(config_path), CONFIG_KEY: stored})


def runs_of(ids: tuple[int, ...]) -> list[tuple[int, int]]:
    """Ids as runs `(first, count)` of consecutive ids; a run of -1 means ids without source."""
    array = np.asarray(ids, dtype=np.int64)
    if array.size == 0:
        return []
    both_missing = (array[1:] == NO_SOURCE) & (array[:-1] == NO_SOURCE)
    follows = (array[1:] == array[:-1] + 1) & (array[:-1] != NO_SOURCE) | both_missing
    starts = np.concatenate([[0], np.flatnonzero(~follows) + 1])
    counts = np.diff(np.concatenate([starts, [array.size]]))
    return [(int(array[start]), int(count)) for start, count in zip(starts, counts, strict=True)]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises `InputError` when the file holds something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, IsADirectoryError) as error:
        raise InputError(f"{path} is not valid JSON ({error}): restore the file") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}: it must be a JSON object")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write such that a reader sees the old content or the new, never a part."""
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def eos_ids_of(directory: Path) -> tuple[int, ...]:
    """The end-of-sequence ids that `generation_config.json` and `config.json` name, ascending."""
    found: set[int] = set()
    for name in ("generation_config.json", "config.json"):
        path = directory / name
        if path.exists():
            found.update(_as_ids(read_json(path).get("eos_token_id")))
    return tuple(sorted(found))


def _expand(runs: Any, size: Any) -> tuple[int, ...]:
    """The ids of runs, `size` in all; raises `InputError` before a damaged count is given its memory."""
    try:
        table = np.asarray(runs or np.zeros((0, 2), dtype=np.int64))
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"source_runs cannot be read ({error})") from error
    if table.ndim != 2 or table.shape[1] != 2 or table.dtype.kind != "i" or (table[:, 1] < 1).any():
        raise InputError("source_runs must be pairs of a first id and a positive count")
    given = sum(table[:, 1].tolist())
    if isinstance(size, bool) or not isinstance(size, int) or given != size:
        raise InputError(f"latent_size is {size!r}, source_runs give {given}")
    ids: list[int] = []
    for first, count in table.tolist():
        ids.extend([NO_SOURCE] * count if first == NO_SOURCE else range(first, first + count))
    return tuple(ids)


def _as_ids(value: object) -> tuple[int, ...]:
    if value is None:
        return ()
    if isinstance(value, int):
        return (value,)
    if isinstance(value, list | tuple) and all(isinstance(item, int) for item in value):
        return tuple(value)
    raise InputError(f"an eos id list is {value!r}: give an integer or a list of integers")


def from_reference(meta: Mapping[str, Any], path: Path) -> Layout:
    """The layout in the reference's file at `path`. Raises `InputError` where keys are missing or contradict."""

    def first(*names: str) -> Any:
        return next((meta[name] for name in names if meta.get(name) is not None), None)

    visible = first("visible_size", "visible_vocab_size", "original_vocab_size", "base_vocab_size")
    latent = first("latent_size", "latent_vocab_size", "num_latent_tokens")
    start = first("think_start_id", "think_start_token_id", "think_token_id")
    end = first("think_end_id", "think_end_token_id")
    wanted = {"visible_size": visible, "latent_size": latent, "think_start_id": start, "think_end_id": end}
    missing = [name for name, value in wanted.items() if value is None]
    if missing:
        raise InputError(f"{path}: {', '.join(missing)} not found: add the keys, or build the dual model again")
    mode = str(first("mode", "latent_mode") or "full_copy")
    sources = first("source_ids", "latent_source_ids", "latent_to_visible")
    if isinstance(sources, Mapping):
        by_latent = {int(key): int(value) for key, value in sources.items()}
        # Keys are latent ids, [V, V+L), or positions, [0, L); both were seen as sensible.
        offset = int(visible) if by_latent and min(by_latent) >= int(visible) else 0
        sources = [by_latent.get(offset + index, NO_SOURCE) for index in range(int(latent))]
    elif sources is None and mode == "full_copy":
        sources = range(int(latent))
    elif sources is None:
        raise InputError(f"{path}: mode {mode} without source_ids: add the visible id of each latent (-1 for none)")
    eos = _as_ids(first("eos_ids", "eos_token_ids", "eos_token_id")) or eos_ids_of(path.parent)
    ids = tuple(int(source) for source in sources)
    if len(ids) != int(latent):
        raise InputError(f"{path}: latent_size is {latent}, but {len(ids)} sources are given: make them agree")
    return Layout(int(visible), ids, int(start), int(end), eos, mode)
