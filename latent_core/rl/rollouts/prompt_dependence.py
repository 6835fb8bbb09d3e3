"""Does a policy's reasoning answer to its prompt? Measured in training, on a step's own rollouts, by teacher forcing.

Nothing is drawn for it: the rollouts are samples of the policy already. A run that goes on from a checkpoint measures
what it would have measured without the interruption, and training is the same with and without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from latent_core.models.family import ChatFamily
from latent_core.rl.diagnostics import chance, conditional_entropy, mutual_information, retrieval
from latent_core.rl.groups import Floats
from latent_core.rl.policy.logprobs import Policy

PROMPTS, SAMPLES = 8, 4  # 256 short passes


class Group(NamedTuple):
    """Rollouts of one prompt: its ids, which end where the model begins to reason, and what it wrote each time."""

    prompt: Sequence[int]
    outputs: Sequence[Sequence[int]]


class Reasoning(NamedTuple):
    """Ids of a reasoning without its marks, and what the model wrote before it: an echoed ratio and its think mark."""

    before: tuple[int, ...]
    ids: tuple[int, ...]


def reasoning_of(output: Sequence[int], family: ChatFamily) -> Reasoning:
    """What a completion reasons, latent ids as they are. One that was cut is all reasoning, and so is all that a model
    without think marks writes, the token that ends it left out."""
    _, said = family.without_echo(output)
    before = tuple(output[: len(output) - len(said)])
    body = tuple(said)
    if family.thinks and family.think_end_id in body:
        return Reasoning(before, body[: body.index(family.think_end_id)])
    return Reasoning(before, body[:-1] if body and body[-1] in family.stop_ids else body)


def prompt_dependence(
    policy: Policy, model: Any, groups: Sequence[Group], family: ChatFamily, *, rows: int
) -> dict[str, float]:
    """The measures of `latent_core.rl.diagnostics` over the first `PROMPTS` groups and `SAMPLES` of each.

    `mutual_information` and `conditional_entropy` in nats, `retrieval_at_1`, and `chance_at_1`, which is 1 over the
    number of different prompts. None of them where there are not two. `rows`: sequences of one forward pass.
    """
    chosen = groups[:PROMPTS]
    prompts = [tuple(group.prompt) for group in chosen]
    if len(set(prompts)) < 2:
        return {}
    own = [place for place, group in enumerate(chosen) for _ in group.outputs[:SAMPLES]]
    found = [reasoning_of(output, family) for group in chosen for output in group.outputs[:SAMPLES]]
    table = log_likelihoods(policy, model, prompts, found, rows=rows)
    return {
        "mutual_information": mutual_information(table, own=own),
        "conditional_entropy": conditional_entropy(table, own=own),
        "retrieval_at_1": retrieval(table, 1, same=prompts, own=own),
        "chance_at_1": chance(1, len(prompts), same=prompts),
    }


def log_likelihoods(
    policy: Policy, model: Any, prompts: Sequence[tuple[int, ...]], reasonings: Sequence[Reasoning], *, rows: int
) -> Floats:
    """Entry (i, j): the sum over reasoning i of the log-probabilities of its tokens after prompt j, in nats.

    Shape (reasonings, prompts). They are the policy's as it samples: at its temperature, of a dual model under its
    phases. Equal pairs cost one pass together; `rows` are passed through the model at once.
    """
    table = np.zeros((len(reasonings), len(prompts)))
    different = sorted({one for one in reasonings if one.ids}, key=lambda one: (len(one.ids), one))
    of_prompt: dict[tuple[int, ...], dict[Reasoning, float]] = {}
    for column, prompt in enumerate(prompts):
        if prompt not in of_prompt:
            scored: dict[Reasoning, float] = {}
            for start in range(0, len(different), rows):
                batch = different[start : start + rows]
                scored |= dict(zip(batch, _scores(policy, model, prompt, batch), strict=True))
            of_prompt[prompt] = scored
        table[:, column] = [of_prompt[prompt].get(one, 0.0) for one in reasonings]
    return table


@torch.no_grad()  # not inference mode: the model is in training, and may keep what it sees
def _scores(policy: Policy, model: Any, prompt: tuple[int, ...], batch: Sequence[Reasoning]) -> list[float]:
    """Padding stands before the prompt and after the reasoning, so that all reasonings begin at one place."""
    widest = len(prompt) + max(len(one.before) for one in batch)
    longest = max(len(one.ids) for one in batch)
    ids = torch.zeros((len(batch), widest + longest), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, one in enumerate(batch):
        whole = (*prompt, *one.before, *one.ids)
        begin = widest - len(prompt) - len(one.before)
        ids[row, begin : begin + len(whole)] = torch.tensor(whole)
        mask[row, begin : begin + len(whole)] = 1
    values = policy.logprobs(model, ids.to(model.device), mask.to(model.device), longest).values
    return [float(value) for value in values.double().sum(dim=1)]
