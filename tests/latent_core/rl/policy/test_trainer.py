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
from latent_core.likelihood import phases_after
from latent_core.rl.policy.logprobs import Policy
from latent_core.rl.policy.trainer import policy_trainer

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
        found = Policy(machine, TEMPERATURE).logprobs(model, ids, mask, longest, with_entropies=True)
        assert found.entropies is not None
        for index, (prompt, completion) in enumerate(rows):
            raw = model(torch.tensor([[*prompt, *completion]])).logits[0]
            for place, token in enumerate(completion):
                before = [*prompt, *completion[:place]]
                allowed = torch.from_numpy(machine.allowed[machine.phase_of_prompt(before)].copy())
                scores = torch.where(allowed, raw[len(before) - 1] / TEMPERATURE, float("-inf"))
                logs = scores.log_softmax(0)
                assert float(found.values[index, place]) == pytest.approx(float(logs[token]), abs=1e-4)
                chaos = -(logs.exp() * logs.clamp(min=-1e4)).sum()
                assert float(found.entropies[index, place]) == pytest.approx(float(chaos), abs=1e-3)
            assert not found.values[index, len(completion) :].any()


def test_latent_rows_that_learn_get_the_gradient_of_masked_sampling_through_the_head_too(
    machine: PhaseMachine, dual_dir: Path
) -> None:
    from peft import LoraConfig, get_peft_model

    latents = list(range(machine.vocabulary.visible_size, machine.vocabulary.size))
    settings = LoraConfig(task_type="CAUSAL_LM", r=2, trainable_token_indices={"embed_tokens": latents})
    base = AutoModelForCausalLM.from_pretrained(dual_dir, dtype=torch.float32)
    model = get_peft_model(base, settings).eval()
    prompt, completion = _row(machine, 4, 6, 2, 3)
    ids = torch.tensor([[*prompt, *completion]])
    learns = {name: value for name, value in model.named_parameters() if value.requires_grad}
    found = Policy(machine, TEMPERATURE).logprobs(model, ids, torch.ones_like(ids), len(completion)).values
    logits = model(ids).logits[:, len(prompt) - 1 : -1] / TEMPERATURE
    forbidden = ~torch.from_numpy(machine.allowed.copy())[phases_after(ids, machine)[:, len(prompt) - 1 : -1]]
    logs = logits.masked_fill(forbidden, -torch.inf).log_softmax(-1)
    expected = logs.gather(2, ids[:, len(prompt) :, None])[:, :, 0]
    assert any("trainable_tokens" in name for name in learns)
    pairs = zip(*(torch.autograd.grad(one.sum(), list(learns.values())) for one in (found, expected)), strict=True)
    for one, other in pairs:
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_method_that_is_replaced_is_still_the_trainers() -> None:
    name = "_get_per_token_logps_and_entropies"
    theirs = inspect.signature(getattr(GRPOTrainer, name)).parameters
    ours = inspect.signature(getattr(policy_trainer(None), name)).parameters
    assert [key for key in ours if key != "options"] == list(theirs)[: len(ours) - 1]
    assert name in inspect.getsource(GRPOTrainer._compute_loss)
