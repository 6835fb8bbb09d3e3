"""Measures of a policy in training: when they are taken, that they leave the weights alone and survive a kill."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from latent_core.benchmarks.problem import Problem
from latent_core.config.agents import AgentConfig
from latent_core.config.grpo import GrpoConfig
from latent_core.rl.curves import Curves, rollout_steps, with_diagnosis
from latent_core.rl.policy.mismatch import Mismatch, sampler_trainer_kl
from latent_core.rl.rollouts import agent_rollouts, diagnosis
from latent_core.rl.rollouts.diagnosis import Diagnosis, first_token_entropy
from latent_core.rl.rollouts.judges import Rewards
from latent_core.rl.rollouts.prompt_dependence import prompt_dependence
from latent_core.rl.training import grpo
from latent_core.rl.training.grpo import reinforce
from latent_core.rl.training.loop import PolicyResult
from tests.latent_core.rl.rollouts.test_agent_rollouts import train_small as train_agent

DUE = {"mutual_information", "conditional_entropy", "retrieval_at_1", "chance_at_1"}
EVERY_STEP = {"first_token_entropy", "sampler_kl", "largest_difference"}


@pytest.mark.parametrize(
    ("every", "iterations", "due"),
    [(1, 1, [0, 1, 2, 3, 4, 5]), (3, 1, [0, 3]), (3, 2, [0, 2]), (10, 2, [0]), (2, 4, [0, 4])],
)
def test_prompt_dependence_is_measured_once_the_steps_of_a_batch_hold_a_multiple(
    every: int, iterations: int, due: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "prompt_dependence", lambda *_, **__: {"mutual_information": 1.0})
    noted: dict[int, dict[str, float]] = {}
    config = AgentConfig(diagnose_every=every, iterations=iterations, steps=8, save_every=iterations)
    one = Diagnosis(config, None)  # type: ignore[arg-type]
    for step in range(0, 6, iterations):
        trainer = SimpleNamespace(
            accelerator=SimpleNamespace(unwrap_model=lambda model: model, autocast=nullcontext),
            model=torch.nn.Identity(),
            policy=None,
            note=lambda measures, step=step: noted.update({step: measures}),
        )
        one.note(trainer, step, [], [[-1.0, -9.0], [-3.0], None, []])
    assert [step for step, measures in noted.items() if "mutual_information" in measures] == due
    assert all(measures["first_token_entropy"] == 2.0 for measures in noted.values())


def test_first_token_entropy_of_samples_is_that_of_their_distribution() -> None:
    chances = np.array([0.5, 0.25, 0.25])
    logprobs = np.log(np.repeat(chances, [2, 1, 1]))
    found = first_token_entropy([[float(value), -7.0] for value in logprobs])
    assert found["first_token_entropy"] == pytest.approx(-(chances * np.log(chances)).sum())
    assert first_token_entropy([None, []]) == {}


def test_divergence_of_a_step_is_that_of_all_its_tokens_however_they_are_passed() -> None:
    draw = torch.Generator().manual_seed(0)
    sampler, trainer = (-torch.rand(4, 6, generator=draw) for _ in range(2))
    own = torch.tensor([[1] * 6, [1, 0, 0, 0, 0, 0], [0] * 6, [1, 1, 0, 0, 0, 0]])
    gathered = Mismatch()
    assert gathered.take() == {}
    for rows in (slice(0, 1), slice(1, 3), slice(3, 4)):
        gathered.add(sampler[rows], trainer[rows], own[rows])
    largest = float((sampler - trainer)[own.bool()].abs().max())
    assert gathered.take() == pytest.approx(
        {"sampler_kl": sampler_trainer_kl(sampler, trainer, own), "largest_difference": largest}
    )
    assert gathered.take() == {}


@pytest.mark.parametrize("section", ["grpo", "agent"])
def test_one_prompt_a_step_cannot_be_told_apart_and_is_refused(section: str) -> None:
    with pytest.raises(ValueError, match=rf"{section}\.diagnose_every: tells the prompts of a step apart"):
        if section == "grpo":
            GrpoConfig(questions_per_step=1, diagnose_every=10)
        else:
            AgentConfig(instances_per_step=1, diagnose_every=10)


def test_unset_diagnosis_is_no_part_of_an_identity() -> None:
    assert "diagnose_every" not in AgentConfig().identity()
    assert AgentConfig(diagnose_every=5).identity()["diagnose_every"] == 5


def test_steps_hold_what_was_diagnosed_of_them() -> None:
    row = {"verdict": "correct", "tokens": 4, "latent_tokens": 3}
    rows = [row | {"step": step, "reward": float(place)} for step in (0, 1) for place in range(4)]
    rows[0] |= {"verdict": "truncated"}
    rollouts = list(rollout_steps(rows, 2))
    assert rollouts[0] == {
        "step": 0, "reward": 1.5, "correct": 0.75, "format_rate": 0.75, "tokens": 4.0, "latent_share": 0.75,
        "within_group_std": pytest.approx(0.5**0.5),
    }  # fmt: skip
    assert rollouts[1]["format_rate"] == 1.0
    diagnosed = with_diagnosis(rollouts, {2: {"sampler_kl": 0.25}, 1: {"sampler_kl": 0.5}})
    assert diagnosed == [rollouts[0], rollouts[1] | {"sampler_kl": 0.5}, {"step": 2, "sampler_kl": 0.25}]


def test_step_has_the_mean_spread_of_its_groups_of_two_or_more_and_none_of_groups_of_one() -> None:
    row = {"tokens": 4, "latent_tokens": 3, "end": "terminated", "success": True}
    curves = Curves()
    for step, seed, total in ((0, 7, 0.0), (0, 7, 1.0), (0, 8, 5.0), (1, 7, 0.0), (1, 8, 1.0)):
        curves.add(row | {"step": step, "seed": seed, "return": total})
    first, second = curves.steps()
    assert first["within_group_std"] == pytest.approx(0.5**0.5) and first["return"] == 2.0
    assert "within_group_std" not in second and second["episodes"] == 2


SMALL: dict[str, Any] = {
    "questions": 4, "questions_per_step": 2, "steps": 3, "learning_rate": 1e-2, "micro_batch_size": 2,
    "save_every": 1, "rollout": {"samples": 2, "max_new_tokens": 24, "temperature": 1.5}, "keep_signal": 1.0,
}  # fmt: skip


def _first_is_best(config: GrpoConfig, model_dir: Path) -> Rewards:
    return lambda rows: [1.0 if row["sample_index"] == 0 else 0.0 for row in rows]


def _killed_at(last: int) -> Any:
    def progress(done: int, total: int) -> None:
        if done == last:
            raise KeyboardInterrupt  # before the checkpoint of this step is written

    return progress


def _weights(root: Path) -> dict[str, torch.Tensor]:
    return load_file(root / "out" / "model" / "model.safetensors")


def test_diagnosed_training_that_was_killed_measures_the_same_and_its_weights_are_those_without(
    dual_dir: Path, problems: Sequence[Problem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpo, "judge", _first_is_best)

    def train(name: str, progress: Any = None, **settings: Any) -> PolicyResult:
        root = tmp_path / name
        return reinforce(
            dual_dir, problems, GrpoConfig.model_validate(SMALL | settings), benchmark="word_problems",
            out_dir=root / "out", checkpoint_dir=root / "checkpoints", progress=progress,
        )  # fmt: skip

    plain, whole = train("plain"), train("whole", diagnose_every=2)
    with pytest.raises(KeyboardInterrupt):
        train("killed", _killed_at(3), diagnose_every=2)
    resumed = train("killed", diagnose_every=2)
    assert resumed.resumed_from_step == 2 and resumed.diagnosis == whole.diagnosis
    assert {step: set(found) for step, found in whole.diagnosis.items()} == {
        0: DUE | EVERY_STEP, 1: EVERY_STEP, 2: DUE | EVERY_STEP,
    }  # fmt: skip
    for found in whole.diagnosis.values():
        assert 0 <= found["sampler_kl"] < 1e-6 and found["first_token_entropy"] > 0
    assert whole.diagnosis[0]["chance_at_1"] == 0.5 and whole.diagnosis[0]["mutual_information"] <= np.log(2)
    assert plain.diagnosis == {} and not any("diagnosis" in key for entry in whole.curve for key in entry)
    assert list(whole.rollouts) == list(plain.rollouts)
    one, two, three = (_weights(tmp_path / name) for name in ("plain", "whole", "killed"))
    assert all(torch.equal(one[name], two[name]) and torch.equal(two[name], three[name]) for name in one)


def test_diagnosed_agents_are_measured_on_their_first_turns_and_learn_the_same(
    mini_dir: Path, tmp_path: Path, cut_words_count: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_rollouts, "instances_of", lambda *_: [5, 6])  # two openings
    measured: list[Any] = []

    def watched(policy: Any, model: Any, groups: Any, *args: Any, **named: Any) -> dict[str, float]:
        measured.extend(groups)
        return prompt_dependence(policy, model, groups, *args, **named)

    monkeypatch.setattr(diagnosis, "prompt_dependence", watched)
    plain, _ = train_agent(mini_dir, tmp_path / "plain", steps=2)
    found, _ = train_agent(mini_dir, tmp_path / "found", steps=2, diagnose_every=5)
    assert {step: set(measures) for step, measures in found.diagnosis.items()} == {0: DUE | EVERY_STEP, 1: EVERY_STEP}
    assert all(0 <= measures["sampler_kl"] < 1e-6 for measures in found.diagnosis.values())
    rows = list(found.rollouts)
    assert rows == list(plain.rollouts)
    first = [row for row in rows if (row["step"], row["turn"]) == (0, 0)]
    assert [list(ids) for group in measured for ids in group.outputs] == [row["output_ids"] for row in first]
    assert [list(group.prompt) for group in measured for _ in group.outputs] == [row["context_ids"] for row in first]
    one, two = (_weights(tmp_path / name) for name in ("plain", "found"))
    assert all(torch.equal(one[name], two[name]) for name in one)
