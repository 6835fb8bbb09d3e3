"""A value head: what an episode still brings, read off hidden states of the policy that it does not move.

The head has an optimizer of its own and is fitted on the states of a step's rollouts, so that the policy's training
needs neither a second loss nor a second pass for it. It is no part of the model that is exported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from latent_core.config.ppo import ValueConfig
from latent_core.likelihood.hidden_states import hidden_states
from latent_core.loading import NO_CODE
from latent_core.rl.groups import Floats, are_equal

FILE = "value_head.safetensors"  # in a checkpoint

Sum = Callable[[torch.Tensor], torch.Tensor]
"""The sum of a tensor over all processes that train together; with one process the tensor itself."""


class Written(NamedTuple):
    """What one episode reads as: ids, and of `completion` which tokens the policy wrote."""

    prompt: Sequence[int]
    completion: Sequence[int]
    acted: Sequence[int]


class ValueHead(torch.nn.Module):
    """Hidden states (tokens, width) to values (tokens,): normalised, through one hidden layer or none; 0 at first."""

    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.normal = torch.nn.LayerNorm(width, elementwise_affine=False)  # models differ in the size of their states
        self.hidden = torch.nn.Linear(width, units) if units else None
        self.out = torch.nn.Linear(units or width, 1)
        torch.nn.init.zeros_(self.out.weight)
        torch.nn.init.zeros_(self.out.bias)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        read = self.normal(states.float())
        if self.hidden is not None:
            read = torch.tanh(self.hidden(read))
        values: torch.Tensor = self.out(read).squeeze(-1)
        return values


class Critic:
    """A value head with its optimizer; both start from `seed`, and go on from what `save` wrote."""

    def __init__(self, width: int, config: ValueConfig, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = ValueHead(width, config.units)
        self._width = width
        self._config = config
        self._optimizer = torch.optim.Adam(self.head.parameters(), lr=config.learning_rate)

    def to(self, device: torch.device) -> None:
        """Move to where hidden states are; before the first `fit` or `restore`."""
        self.head.to(device)

    def nothing(self) -> torch.Tensor:
        """States of no token."""
        return torch.zeros((0, self._width), device=next(self.head.parameters()).device)

    @torch.no_grad()
    def values(self, states: torch.Tensor) -> Floats:
        """Of hidden states (tokens, width), shape (tokens,)."""
        return np.asarray(self.head(states).double().cpu().numpy())

    def fit(self, states: torch.Tensor, targets: Floats, total: Sum = lambda tensor: tensor) -> float:
        """Learn the `targets` (tokens,) of hidden states (tokens, width); the mean squared error before, NaN of none.

        Squared loss, or with `clip` the larger one of V's and of that of V_old + clamp(V - V_old, -clip, clip), V_old
        being the value before this call (arXiv 1707.06347's value loss as OpenAI's baselines have it). Means are over
        the tokens of all processes.
        """
        device = next(self.head.parameters()).device
        states, target = states.detach().to(device), torch.as_tensor(targets, dtype=torch.float32, device=device)
        count = total(torch.tensor(float(len(target)), device=device))
        if not count:
            return math.nan
        with torch.no_grad():
            old = self.head(states)
            before = total((old - target).square().sum()) / count
        for _ in range(self._config.updates):
            value = self.head(states)
            loss = (value - target).square()
            if self._config.clip is not None:
                near = old + (value - old).clamp(-self._config.clip, self._config.clip)
                loss = torch.maximum(loss, (near - target).square())
            self._optimizer.zero_grad()
            (loss.sum() / count).backward()
            for parameter in self.head.parameters():
                assert parameter.grad is not None
                parameter.grad = total(parameter.grad)
            self._optimizer.step()
        return float(before)

    def save(self, checkpoint: Path) -> None:
        """Write head and optimizer into a checkpoint."""
        tensors = {f"head.{name}": value for name, value in self.head.state_dict().items()}
        for place, state in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{place}.{name}": value for name, value in state.items()}
        save_file({name: value.contiguous() for name, value in tensors.items()}, checkpoint / FILE)

    def restore(self, checkpoint: Path) -> None:
        """Go on from what `save` wrote. Raises FileNotFoundError where it wrote nothing."""
        tensors = load_file(checkpoint / FILE, device=str(next(self.head.parameters()).device))
        self.head.load_state_dict({name: tensors[f"head.{name}"] for name in self.head.state_dict()})
        optimizer = self._optimizer.state_dict()
        for name, value in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "optimizer":
                place, _, field = rest.partition(".")
                optimizer["state"].setdefault(int(place), {})[field] = value
        self._optimizer.load_state_dict(optimizer)


@torch.no_grad()
def states_before(model: Any, episodes: Sequence[Written], rows: int) -> torch.Tensor:
    """Last hidden states before each token that the policy wrote, (tokens, width), episode after episode.

    The state before a token is the one that predicts it. `rows` episodes are read in one pass.
    """
    device = next(model.parameters()).device
    found = [
        states for start in range(0, len(episodes), rows) for states in _read(model, episodes, start, rows, device)
    ]
    return torch.cat(found)


def _read(
    model: Any, episodes: Sequence[Written], start: int, rows: int, device: torch.device
) -> Iterator[torch.Tensor]:
    batch = episodes[start : start + rows]
    longest = max(len(one.prompt) + len(one.completion) for one in batch)
    ids = torch.zeros((len(batch), longest), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, one in enumerate(batch):
        length = len(one.prompt) + len(one.completion)
        ids[row, :length] = torch.tensor([*one.prompt, *one.completion])
        mask[row, :length] = 1
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    inputs = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
    read = hidden_states(model, **{name: value.to(device) for name, value in inputs.items()}, use_cache=False)
    for row, one in enumerate(batch):
        first = len(one.prompt) - 1
        acted = torch.tensor(one.acted, dtype=torch.bool, device=device)
        yield read[row, first : first + len(one.completion)][acted]


def hidden_width(model_dir: Path) -> int:
    """The width of a model's hidden states."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(model_dir, local_files_only=True, **NO_CODE)
    return int(config.get_text_config().hidden_size)


def explained_variance(targets: Floats, values: Floats) -> float:
    """1 - Var(targets - values) / Var(targets): 1 is right everywhere, 0 no better than a constant; NaN where targets
    are equal, which leaves nothing to explain."""
    if not len(targets) or are_equal(targets):
        return math.nan
    return float(1 - np.var(targets - values) / np.var(targets))
