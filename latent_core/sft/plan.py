"""Which examples every optimizer step reads, and which process computes them in which micro batch.

The examples of a step follow from the seed alone. Processes, micro batches and interruptions only cut the same steps in
other ways, so that they change a result by float noise and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from latent_core.config.training import TrainConfig
from latent_core.errors import InputError

Step = list[int]  # indices of the examples of one optimizer step
Micro = list[int]  # indices of the examples of one forward pass


def steps_of(lengths: Sequence[int], config: TrainConfig) -> list[Step]:
    """The examples of each of `config.steps` optimizer steps: epoch after epoch, each in an order of its own.

    `lengths` are the examples' tokens. A step has `batch_size` examples; the last of an epoch has what is left.
    """
    steps: list[Step] = []
    while len(steps) < config.steps:
        order = _epoch_order(lengths, config, epoch=len(steps) // -(-len(lengths) // config.batch_size))
        steps += [order[start : start + config.batch_size] for start in range(0, len(order), config.batch_size)]
    return steps[: config.steps]


def _epoch_order(lengths: Sequence[int], config: TrainConfig, epoch: int) -> list[int]:
    import torch
    from transformers.trainer_pt_utils import get_length_grouped_indices

    generator = torch.Generator().manual_seed(config.seed + epoch)
    if config.batching == "by_length":
        order: list[int] = get_length_grouped_indices(list(lengths), config.batch_size, generator=generator)
        return order
    return torch.randperm(len(lengths), generator=generator).tolist()


def micro_batch_size(config: TrainConfig, processes: int) -> int:
    """Examples of one forward pass: at most `config.micro_batch_size`, such that all passes of a step are full.

    Raises InputError when the processes cannot share a step's examples evenly.
    """
    share, rest = divmod(config.batch_size, processes)
    if rest:
        raise InputError(
            f"train.processes: {processes} cannot share batch_size {config.batch_size} evenly; change one of them"
        )
    return max(size for size in range(1, min(config.micro_batch_size, share) + 1) if share % size == 0)


def micro_batches(
    steps: Sequence[Step], lengths: Sequence[int], config: TrainConfig, *, rank: int, processes: int
) -> list[Micro]:
    """The forward passes of process `rank`, equally many in every step.

    A step's examples are sorted by length before they are cut, so that those of similar length meet in a pass, and in
    the passes that different processes compute at the same time. The longer pass of such a round goes to the first
    process and to the last by turns, so that none waits for another. A step that is too short leaves passes over;
    these read example number `len(lengths)`, which stands for one without any loss.
    """
    size = micro_batch_size(config, processes)
    per_step = config.batch_size // size
    found: list[Micro] = []
    for step in steps:
        ordered = sorted(step, key=lambda index: -lengths[index]) if per_step > 1 else step
        passes = [ordered[start : start + size] for start in range(0, len(ordered), size)]
        passes += [[len(lengths)]] * (per_step - len(passes))
        rounds = [passes[start : start + processes] for start in range(0, per_step, processes)]
        found += [each[rank if turn % 2 == 0 else processes - 1 - rank] for turn, each in enumerate(rounds)]
    return found


def evaluation_batches(lengths: Sequence[int], size: int, *, rank: int, processes: int) -> list[Micro]:
    """The validation examples of process `rank`, by length in batches of `size`.

    All processes get equally many batches, since they meet after each; the ones left over are empty.
    """
    ordered = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    batches = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    batches += [[]] * (-len(batches) % processes)
    return batches[rank::processes]
