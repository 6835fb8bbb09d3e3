"""Which examples a step reads: the same ones whatever the processes and micro batches, and each once an epoch."""

from __future__ import annotations

from typing import Any

import pytest

from latent_core.config.training import TrainConfig
from latent_core.errors import InputError
from latent_core.sft.plan import evaluation_batches, micro_batch_size, micro_batches, steps_of

LENGTHS = [7 * index % 40 + 5 for index in range(27)]


def _config(**settings: Any) -> TrainConfig:
    return TrainConfig(**{"steps": 7, "batch_size": 8, "micro_batch_size": 8} | settings)


@pytest.mark.parametrize("batching", ["random", "by_length"])
def test_plan_reads_every_example_once_an_epoch_in_an_order_of_its_own(batching: str) -> None:
    steps = steps_of(LENGTHS, _config(batching=batching, steps=8))
    first, second = ([index for step in epoch for index in step] for epoch in (steps[:4], steps[4:]))
    assert sorted(first) == sorted(second) == list(range(27))
    assert first != second
    assert [len(step) for step in steps] == [8, 8, 8, 3] * 2


def test_plan_follows_the_seed() -> None:
    assert steps_of(LENGTHS, _config()) == steps_of(LENGTHS, _config())
    assert steps_of(LENGTHS, _config()) != steps_of(LENGTHS, _config(seed=1))


@pytest.mark.parametrize(("processes", "micro"), [(1, 8), (1, 2), (2, 8), (2, 2), (4, 1), (8, 8)])
def test_plan_of_any_process_count_reads_the_same_examples_in_every_step(processes: int, micro: int) -> None:
    config = _config(micro_batch_size=micro)
    steps = steps_of(LENGTHS, config)
    ranks = [micro_batches(steps, LENGTHS, config, rank=rank, processes=processes) for rank in range(processes)]
    per_step = config.batch_size // (micro_batch_size(config, processes) * processes)
    assert {len(rank) for rank in ranks} == {per_step * len(steps)}
    assert max(len(one) for rank in ranks for one in rank) <= micro
    for number, step in enumerate(steps):
        taken = [index for rank in ranks for one in rank[number * per_step : (number + 1) * per_step] for index in one]
        assert sorted(index for index in taken if index < len(LENGTHS)) == sorted(step)


def test_plan_cuts_a_step_by_length_so_that_less_is_padded() -> None:
    def padding(passes: list[list[int]]) -> int:
        return sum(max(LENGTHS[i] for i in one) * len(one) - sum(LENGTHS[i] for i in one) for one in passes)

    config = _config(micro_batch_size=2, steps=3)
    steps = steps_of(LENGTHS, config)
    as_drawn = [step[start : start + 2] for step in steps for start in range(0, 8, 2)]
    assert padding(micro_batches(steps, LENGTHS, config, rank=0, processes=1)) < padding(as_drawn) / 2


def test_plan_that_processes_cannot_share_raises() -> None:
    with pytest.raises(InputError, match=r"train\.processes: 3 cannot share batch_size 8"):
        micro_batch_size(_config(), 3)


def test_evaluation_batches_hold_every_example_once_and_equally_many_a_process() -> None:
    ranks = [evaluation_batches(LENGTHS, 4, rank=rank, processes=3) for rank in range(3)]
    assert {len(rank) for rank in ranks} == {3}
    assert sorted(index for rank in ranks for batch in rank for index in batch) == list(range(27))


def test_plan_of_two_passes_a_step_reads_the_longer_examples_first() -> None:
    lengths = [1, 8, 2, 7, 3, 6, 4, 5]
    passes = micro_batches([list(range(8))], lengths, _config(micro_batch_size=4), rank=0, processes=1)
    assert passes == [[1, 3, 5, 7], [6, 4, 2, 0]]


def test_plan_deals_passes_so_that_no_process_has_all_the_longer_ones() -> None:
    lengths = [8, 7, 6, 5, 4, 3, 2, 1]
    ranks = [
        micro_batches([list(range(8))], lengths, _config(micro_batch_size=2), rank=rank, processes=2)
        for rank in range(2)
    ]
    assert ranks == [[[0, 1], [6, 7]], [[2, 3], [4, 5]]]
