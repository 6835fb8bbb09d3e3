"""The blocks of a corpus, written by several processes and handed on in their order."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from pathlib import Path

from latent_core.processes import end_with
from latent_core.sft.mini_corpus import Block, CorpusWriter, Recipe, blocks, open_writer

BLOCK = 2048  # examples
AHEAD = 2  # blocks for each process that may wait to be read: bounds the memory
_writer: CorpusWriter | None = None


def corpus(model_dir: Path, recipe: Recipe, split: str, count: int, processes: int | None = None) -> Iterator[Block]:
    """`count` examples of a split in order, whatever the processes.

    `processes` unset is one for each CPU that this process may use, and no more than there are blocks. One alone works
    in this process, as it does inside a worker that may start none.
    """
    parts = blocks(count, BLOCK)
    wanted = len(os.sched_getaffinity(0)) if processes is None else processes
    wanted = min(wanted, len(parts))
    if wanted <= 1 or multiprocessing.current_process().daemon:
        writer = open_writer(model_dir, recipe)
        for part in parts:
            yield writer.block(split, part)
        return
    yield from _in_processes(model_dir, recipe, split, parts, wanted)


def _in_processes(
    model_dir: Path, recipe: Recipe, split: str, parts: Sequence[range], processes: int
) -> Iterator[Block]:
    context = multiprocessing.get_context("spawn")  # the caller has threads
    with ProcessPoolExecutor(processes, context, _start, (model_dir, recipe, os.getpid())) as pool:
        waiting: deque[Future[Block]] = deque()
        rest = iter(parts)
        try:
            waiting.extend(pool.submit(_write, split, part) for part in islice(rest, AHEAD * processes))
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(_write, split, part) for part in islice(rest, 1))
        finally:
            pool.shutdown(cancel_futures=True)


def _start(model_dir: Path, recipe: Recipe, owner: int) -> None:
    global _writer
    end_with(owner)
    _writer = open_writer(model_dir, recipe)


def _write(split: str, part: range) -> Block:
    assert _writer is not None
    return _writer.block(split, part)
