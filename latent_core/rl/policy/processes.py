"""Several processes that train one policy: each plays and learns its share of a step's groups.

What looks over a whole step (the filter of groups, the loss's denominators, the file of its rollouts) sees the groups
of all processes. Which process plays a group changes neither its seeds nor its advantages. So the number of processes
changes the weights by no more than the order in which gradients are added up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from latent_core.errors import InputError
from latent_core.rl.filters import kept_groups

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
_BUCKET = 2**23  # gradients that are averaged at once: 32 MB in float32


@dataclass(frozen=True)
class Processes:
    """This process by its number, and how many train the policy together; alone it is number 0 of 1.

    All methods but `share` are collective: every process calls them, in the same order.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def here(cls) -> Processes:
        """As PyTorch's process group says; alone where there is none."""
        import torch.distributed as dist

        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        return cls(dist.get_rank(), dist.get_world_size())

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part of what all have together: equally many for each, in order.

        Raises InputError where they do not come out even.
        """
        size, rest = divmod(len(items), self.count)
        if rest:
            raise InputError(f"processes: {self.count} cannot share {len(items)} groups evenly")
        return items[self.rank * size : (self.rank + 1) * size]

    def everyones(self, items: Iterable[T]) -> list[T]:
        """The items of all processes, those of the first one first. They are pickled on the way."""
        if self.count == 1:
            return list(items)
        import torch.distributed as dist

        parts: list[Any] = [None] * self.count
        dist.all_gather_object(parts, list(items))
        return [item for part in parts for item in part]

    def kept(self, returns: Sequence[Sequence[float] | None], share: float) -> list[bool]:
        """Whether each group of this process is kept by `kept_groups` among those of all; one that is None never is.

        `returns` has the returns of the members of each of this process's groups.
        """
        found = self.everyones(returns)
        whole = [group for group in found if group is not None]
        flags = iter(kept_groups(whole, share) if whole else [])
        return list(self.share([next(flags) if group is not None else False for group in found]))

    def part(self) -> None:
        """Need the others no longer. All come here, since NCCL's end may wait for all, and before one goes on alone."""
        if self.count > 1:
            import torch.distributed as dist

            dist.destroy_process_group()

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Give every parameter the mean of its gradients over the processes; no gradient counts as zeros.

        A parameter without a gradient in any process keeps none, so that an optimizer leaves it alone as it does in a
        single process.
        """
        if self.count == 1:
            return
        import torch
        import torch.distributed as dist

        learning = [one for one in parameters if one.requires_grad]
        has_gradient = torch.tensor([one.grad is not None for one in learning], dtype=torch.uint8)
        has_gradient = has_gradient.to(learning[0].device)
        dist.all_reduce(has_gradient, dist.ReduceOp.MAX)
        touched = [one for one, touches in zip(learning, has_gradient.tolist(), strict=True) if touches]
        for bucket in _buckets(touched):
            flat = torch.cat([(torch.zeros_like(one) if one.grad is None else one.grad).reshape(-1) for one in bucket])
            dist.all_reduce(flat)
            flat /= self.count
            parts = flat.split([one.numel() for one in bucket])  # type: ignore[no-untyped-call]
            for one, part in zip(bucket, parts, strict=True):
                one.grad = part.reshape(one.shape).clone()


def _buckets(parameters: Iterable[torch.nn.Parameter]) -> Iterator[list[torch.nn.Parameter]]:
    """Parameters of one type that follow each other, until they are many."""
    bucket: list[torch.nn.Parameter] = []
    for one in parameters:
        full = sum(other.numel() for other in bucket) >= _BUCKET
        if bucket and (full or bucket[0].dtype != one.dtype):
            yield bucket
            bucket = []
        bucket.append(one)
    if bucket:
        yield bucket


class NoWaiting:
    """An accelerator whose process waits for no other, so that each may take as many passes as it has rows to learn.

    For TRL's loss, which gathers what it logs in every pass.
    """

    def __init__(self, accelerator: Any) -> None:
        self._accelerator = accelerator

    def gather(self, found: torch.Tensor) -> torch.Tensor:
        return found

    def reduce(self, found: torch.Tensor, reduction: str = "sum") -> torch.Tensor:
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._accelerator, name)
