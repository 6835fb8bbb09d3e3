"""Whether reasoning answers to its prompt: policies that ignore it or copy it, and what is measured in training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from latent_core.config.grpo import GrpoConfig
from latent_core.dual.constraint import PhaseMachine
from latent_core.likelihood import TokenLogProbs
from latent_core.models.readable import ReadableModel
from latent_core.rl.policy.logprobs import Policy
from latent_core.rl.rollouts.prompt_dependence import Group, Reasoning, log_likelihoods, prompt_dependence, reasoning_of
from latent_core.sft.weights import load_model

OPEN, CLOSE, END = 90, 91, 92
FAMILY: Any = SimpleNamespace(
    thinks=True, think_start_id=OPEN, think_end_id=CLOSE, stop_ids=(END,), without_echo=lambda ids: (None, ids)
)
MODEL: Any = SimpleNamespace(device=torch.device("cpu"))
LIKELY, UNLIKELY = np.log(0.9), np.log(0.001)


class Constructed(Policy):
    """A policy that finds a token likely where `likes(prompt, token)`; a prompt is what stands up to the think mark."""

    def __init__(self, likes: Any) -> None:
        self.likes = likes

    def logprobs(
        self, model: Any, ids: torch.Tensor, mask: torch.Tensor, keep: int, *, with_entropies: bool = False
    ) -> TokenLogProbs:
        values = torch.zeros(len(ids), keep)
        for row, (tokens, own) in enumerate(zip(ids.tolist(), mask.tolist(), strict=True)):
            whole = [token for token, is_own in zip(tokens, own, strict=True) if is_own]
            prompt = whole[: whole.index(OPEN)]
            for place in range(keep):
                if own[len(tokens) - keep + place]:
                    likes = self.likes(prompt, tokens[len(tokens) - keep + place])
                    values[row, place] = LIKELY if likes else UNLIKELY
        return TokenLogProbs(values, values, None)


def _groups(said: Sequence[Sequence[int]]) -> list[Group]:
    """Eight prompts of different lengths, each with four of the reasonings that `said` has of it."""
    return [
        Group(
            [10 + number] * (1 + number % 3) + [OPEN], [[*said[number][sample:], CLOSE, 5, END] for sample in range(4)]
        )
        for number in range(8)
    ]


def test_policy_that_ignores_its_prompt_tells_nothing_of_it_and_is_found_by_chance() -> None:
    groups = _groups([[40, 41, 42, 43, 44 + number] for number in range(8)])
    found = prompt_dependence(Constructed(lambda prompt, token: True), MODEL, groups, FAMILY, rows=5)
    assert found["mutual_information"] == pytest.approx(0.0, abs=1e-9)
    assert found["retrieval_at_1"] == pytest.approx(1 / 8) == found["chance_at_1"]
    assert found["conditional_entropy"] == pytest.approx(-np.mean([5, 4, 3, 2]) * LIKELY, rel=1e-5)


def test_policy_that_copies_its_prompt_tells_all_of_it_and_is_always_found() -> None:
    groups = _groups([[10 + number] * 5 for number in range(8)])
    found = prompt_dependence(Constructed(lambda prompt, token: token in prompt), MODEL, groups, FAMILY, rows=5)
    assert found["mutual_information"] == pytest.approx(np.log(8), abs=1e-3)
    assert found["retrieval_at_1"] == 1.0


def test_equal_prompts_are_one_and_a_single_one_is_not_measured() -> None:
    copies = Constructed(lambda prompt, token: token in prompt)
    groups = _groups([[10 + number] * 5 for number in range(8)])
    pairs = [groups[number // 2] for number in range(8)]
    found = prompt_dependence(copies, MODEL, pairs, FAMILY, rows=64)
    assert found["chance_at_1"] == 1 / 4 and found["retrieval_at_1"] == 1.0
    assert found["mutual_information"] == pytest.approx(np.log(4), abs=1e-3)
    assert prompt_dependence(copies, MODEL, groups[:1] * 8, FAMILY, rows=64) == {}


def test_reasoning_is_what_stands_before_the_closing_mark_without_an_echoed_ratio() -> None:
    assert reasoning_of([7, 8, CLOSE, 9, END], FAMILY) == Reasoning((), (7, 8))
    assert reasoning_of([7, 8], FAMILY) == Reasoning((), (7, 8))
    plain = SimpleNamespace(thinks=False, stop_ids=(END,), without_echo=lambda ids: (None, ids))
    assert reasoning_of([7, 8, END], plain) == Reasoning((), (7, 8))  # type: ignore[arg-type]
    echoing = SimpleNamespace(**{**vars(FAMILY), "without_echo": lambda ids: (0.5, ids[2:])})
    assert reasoning_of([60, OPEN, 7, CLOSE, 9], echoing) == Reasoning((60, OPEN), (7,))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["mini", "dual"])
def test_table_of_a_real_model_is_its_phase_exact_log_likelihood_pair_by_pair(
    kind: str, request: pytest.FixtureRequest
) -> None:
    model_dir: Path = request.getfixturevalue(f"{kind}_dir")
    readable = ReadableModel.load(model_dir)
    vocabulary, family = readable.vocabulary, readable.family
    machine = None if vocabulary is None else PhaseMachine(vocabulary, stop_ids=family.stop_ids)
    model, policy = load_model(model_dir, GrpoConfig()).eval(), Policy(machine, 0.8)
    prompts = [(*ids, int(family.think_start_id or 0)) for ids in ((40, 41, 42), (43,), (44, 45))]
    texts = [(50, 51, 52, 53), (54,), (), (50, 51, 52, 53)]
    written = [tuple(map(int, vocabulary.to_latent(list(ids)))) if vocabulary and ids else ids for ids in texts]
    thoughts = [*(Reasoning((), ids) for ids in written), Reasoning((46, 47), written[0])]
    table = log_likelihoods(policy, model, prompts, thoughts, rows=3)
    for row, one in enumerate(thoughts):
        for column, prompt in enumerate(prompts):
            ids = torch.tensor([[*prompt, *one.before, *one.ids]])
            with torch.no_grad():
                alone = policy.logprobs(model, ids, torch.ones_like(ids), len(one.ids)).values.sum() if one.ids else 0.0
            assert table[row, column] == pytest.approx(float(alone), abs=1e-4)
    assert table[0, 0] != pytest.approx(table[4, 0], abs=1e-2), "what is written before is read"
    assert table[0, 0] != pytest.approx(table[0, 1], abs=1e-2), "or no pair could be told from another"
