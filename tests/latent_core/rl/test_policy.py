"""The loss is that of the policy that sampled: same mask, same temperature, whatever stands beside a row."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM
from trl import GRPOTrainer

from latent_core.dual.constraint import PhaseMachine
from latent_core.dual.vocabulary import DualVocabulary
from latent_core.rl.policy import entropies, log_probabilities, next_token_logits, phases_after, policy_trainer

TEMPERATURE = 0.7


@pytest.fixture(scope="module")
def machine(dual_dir: Path) -> PhaseMachine:
    return PhaseMachine(DualVocabulary.load(dual_dir))


@pytest.fixture(scope="module")
def model(dual_dir: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(dual_dir, dtype=torch.float32).eval()


def _row(machine: PhaseMachine, prompt: int, latents: int, answer: int, seed: int) -> tuple[list[int], list[int]]:
    """A prompt that opens thinking, and a completion of latents, the end of thinking, and visible ids."""
    vocabulary, draw = machine.vocabulary, np.random.default_rng(seed)
    visible = np.setdiff1d(np.arange(5, vocabulary.visible_size), [*vocabulary.think_ids, *vocabulary.eos_ids])
    latent = vocabulary.to_latent(draw.choice(visible, latents)).tolist()
    opened = [*draw.choice(visible, prompt).tolist(), vocabulary.think_start_id]
    return opened, [*latent, vocabulary.think_end_id, *draw.choice(visible, answer).tolist()]


def test_phases_of_a_whole_row_are_those_of_the_machine_step_by_step(machine: PhaseMachine) -> None:
    start, end = machine.vocabulary.think_ids
    draw = np.random.default_rng(0)
    ids = draw.choice([start, end, 7, 8, 9], (32, 20), p=[0.1, 0.1, 0.3, 0.3, 0.2])
    found = phases_after(torch.from_numpy(ids), machine)
    expected = [[int(machine.phase_of_prompt(row[: place + 1])) for place in range(20)] for row in ids]
    assert found.tolist() == expected


def test_log_probabilities_are_those_of_masked_sampling_and_no_neighbour_or_padding_changes_them(
    machine: PhaseMachine, model: Any
) -> None:
    rows = [_row(machine, 9, 12, 4, 0), _row(machine, 3, 5, 7, 1), _row(machine, 5, 1, 1, 2)]
    widest, longest = (max(len(row[part]) for row in rows) for part in (0, 1))
    ids = torch.zeros(len(rows), widest + longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for index, (prompt, completion) in enumerate(rows):
        place = slice(widest - len(prompt), widest + len(completion))
        ids[index, place] = torch.tensor([*prompt, *completion])
        mask[index, place] = 1
    with torch.no_grad():
        logits = next_token_logits(model, ids, mask, longest, TEMPERATURE, machine)
        found = log_probabilities(logits, ids[:, -longest:])
        for index, (prompt, completion) in enumerate(rows):
            raw = model(torch.tensor([[*prompt, *completion]])).logits[0]
            for place, token in enumerate(completion):
                before = [*prompt, *completion[:place]]
                allowed = torch.from_numpy(machine.allowed[machine.phase_of_prompt(before)].copy())
                scores = torch.where(allowed, raw[len(before) - 1] / TEMPERATURE, float("-inf"))
                logs = scores.log_softmax(0)
                assert float(found[index, place]) == pytest.approx(float(logs[token]), abs=1e-4)
                chaos = -(logs.exp() * logs.clamp(min=-1e4)).sum()
                assert float(entropies(logits)[index, place]) == pytest.approx(float(chaos), abs=1e-3)


def test_forbidden_tokens_get_no_gradient(machine: PhaseMachine, model: Any) -> None:
    prompt, completion = _row(machine, 4, 6, 2, 3)
    ids = torch.tensor([[*prompt, *completion]])
    model.zero_grad()
    logits = next_token_logits(model, ids, torch.ones_like(ids), len(completion), 1.0, machine)
    logits.retain_grad()
    log_probabilities(logits, ids[:, -len(completion) :]).sum().backward()
    forbidden = ~torch.from_numpy(machine.allowed.copy())[phases_after(ids, machine)[0, -len(completion) - 1 : -1]]
    assert float(logits.grad[0][forbidden].abs().max()) == 0.0 < float(logits.grad[0].abs().max())


def test_entropies_of_many_rows_take_the_memory_of_one() -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        numbers = 0

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = function(*args, **(kwargs or {}))
            if isinstance(made, torch.Tensor) and not made._is_view():
                self.numbers = max(self.numbers, made.numel())
            return made

    logits = torch.randn(6, 4, 50)
    with Largest() as largest:
        found = entropies(logits)
    assert found.shape == (6, 4) and largest.numbers <= 4 * 50


def test_method_that_is_replaced_is_still_the_trainers() -> None:
    name = "_get_per_token_logps_and_entropies"
    theirs = inspect.signature(getattr(GRPOTrainer, name)).parameters
    ours = inspect.signature(getattr(policy_trainer(None), name)).parameters
    assert [key for key in ours if key != "options"] == list(theirs)[: len(ours) - 1]
    assert name in inspect.getsource(GRPOTrainer._compute_loss)
