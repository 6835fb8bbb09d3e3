"""Agents in training: masks and advantages of constructed episodes, and a policy that moves towards what pays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from latent_core.config.agents import AgentConfig
from latent_core.dual.constraint import PhaseMachine
from latent_core.errors import InputError
from latent_core.generate.engine import Generation
from latent_core.models.readable import ReadableModel
from latent_core.rl.environments import EnvironmentFailed, EnvironmentSpec
from latent_core.rl.play.episodes import Episode, Turn
from latent_core.rl.policy.logprobs import Policy
from latent_core.rl.rollouts import agent_rollouts
from latent_core.rl.rollouts.agent_rollouts import AgentRollouts, turn_advantages, worth_of_turns
from latent_core.rl.training.loop import PolicyResult, Sizes, train_policy
from latent_core.sft.weights import load_model

SMALL: dict[str, Any] = {
    "instances_per_step": 2, "steps": 2, "learning_rate": 1e-3, "micro_batch_size": 4, "save_every": 1,
    "rollout": {"samples": 4, "max_new_tokens": 16, "temperature": 1.5, "max_episode_tokens": 400},
    "keep_signal": 1.0,
}  # fmt: skip


class Lengthy:
    """Two turns; a turn is worth the share of its characters that are an e."""

    def __init__(self) -> None:
        self.turn = 0
        self.seed = 0

    def reset(self, seed: int) -> tuple[str, dict[str, Any]]:
        self.turn, self.seed = 0, seed
        return f"Write about {seed % 7}.", {"state": 0}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.turn += 1
        if self.seed % 5 == 4:
            raise EnvironmentFailed("gone")
        return "More.", action.count("e") / max(1, len(action)), self.turn == 2, False, {"state": self.turn}


SPEC = EnvironmentSpec("lengthy", 1, "Write.", 2, Lengthy, takes_text=True, lowest=0.0)


def _turn(context: int, output: tuple[int, ...], reward: float, state: int = 0) -> Turn:
    return Turn((9,) * context, Generation(output, "stop"), ("a",), reward, {}, state)


def _config(**settings: Any) -> AgentConfig:
    return AgentConfig.model_validate({**SMALL, **settings})


def train_small(
    model_dir: Path, root: Path, progress: Any = None, **settings: Any
) -> tuple[PolicyResult, AgentRollouts]:
    config = _config(**settings)
    rollouts = AgentRollouts(SPEC, model_dir, config, root / "checkpoints" / "rollouts")
    sizes = Sizes(config.episodes_per_step, config.rollout.samples, config.rollout.max_episode_tokens)
    result = train_policy(
        model_dir, config, rollouts, sizes, loss="dr_grpo", temperature=1.5, out_dir=root / "out",
        checkpoint_dir=root / "checkpoints", importance_cap=config.rollout.correction_cap, progress=progress,
    )  # fmt: skip
    return result, rollouts


def test_entry_gives_every_turn_its_own_worth_and_contexts_none(mini_dir: Path, tmp_path: Path) -> None:
    rollouts = AgentRollouts(SPEC, mini_dir, _config(), tmp_path)
    episode = Episode(1, 0, (_turn(3, (5, 6), 1.0), _turn(2, (7,), 0.5)), "terminated")
    worth = worth_of_turns(episode, [0.25, -0.5])
    entry = rollouts._entry(episode, worth.tokens)
    assert entry["prompt_ids"] == [9, 9, 9] and entry["completion_ids"] == [5, 6, 9, 9, 7]
    assert entry["env_mask"] == [1, 1, 0, 0, 1] and entry["advantages"] == [0.25, 0.25, 0.0, 0.0, -0.5]
    assert entry["reward"] == 1.5 and worth.turns == [{"advantage": 0.25}, {"advantage": -0.5}]


def test_latent_only_learns_latents_and_the_closing_think_token(dual_dir: Path, tmp_path: Path) -> None:
    vocabulary = ReadableModel.load(dual_dir).vocabulary
    assert vocabulary is not None
    latent, end = int(vocabulary.to_latent([40])[0]), vocabulary.think_end_id
    episode = Episode(1, 0, (_turn(1, (latent, end, 41), 1.0), _turn(2, (latent, end, 2), 0.5)), "terminated")
    for latent_only, mask in ((True, [1, 1, 0, 0, 0, 1, 1, 0]), (False, [1, 1, 1, 0, 0, 1, 1, 1])):
        rollouts = AgentRollouts(SPEC, dual_dir, _config(latent_only=latent_only), tmp_path)
        assert rollouts._entry(episode, [])["env_mask"] == mask


def test_advantages_follow_the_estimator() -> None:
    group = [
        Episode(1, 0, (_turn(1, (5,), 1.0), _turn(1, (5,), 0.0, 1)), "terminated"),
        Episode(1, 1, (_turn(1, (5,), 0.0), _turn(1, (5,), 3.0, 2)), "terminated"),
    ]
    assert turn_advantages(group, _config(estimator="dr_grpo"), 0) == [[-1.0, -1.0], [1.0, 1.0]]
    assert turn_advantages(group, _config(estimator="rloo"), 0) == [[-2.0, -2.0], [2.0, 2.0]]
    assert turn_advantages(group, _config(estimator="turn_level"), 0)[0][0] == pytest.approx(-(0.5**0.5))
    assert turn_advantages(group, _config(estimator="gigpo"), 0) == [[-2.0, -1.0], [2.0, 1.0]]


def test_groups_are_filtered_by_returns_as_the_estimator_discounts_them(mini_dir: Path, tmp_path: Path) -> None:
    """All win, one sooner than the other: at a discount that is worth something, and without one it is not."""
    late, soon = (_turn(1, (5,), 0.0), _turn(1, (5,), 1.0)), (_turn(1, (5,), 1.0),)
    group = [Episode(1, number, turns, "terminated") for number, turns in enumerate((late, soon))]
    for estimator, gamma, kept in (("turn_level", 0.5, True), ("turn_level", 1.0, False), ("gigpo", 0.5, True)):
        rollouts = AgentRollouts(SPEC, mini_dir, _config(estimator=estimator, gamma=gamma), tmp_path)
        assert rollouts._taught([group], 0) == [kept]


def test_placebo_permutes_returns_within_the_group() -> None:
    group = [Episode(1, sample, (_turn(1, (5,), float(sample)),), "terminated") for sample in range(8)]
    config = _config(placebo=True, rollout={**SMALL["rollout"], "samples": 8})
    worth = [turns[0] for turns in turn_advantages(group, config, 0)]
    assert sorted(worth) == list(np.arange(8) - 3.5) and worth != sorted(worth)
    with pytest.raises(ValueError, match=r"agent\.placebo"):
        _config(placebo=True, estimator="gigpo")


@pytest.mark.parametrize("kind", ["mini", "dual"])
def test_episodes_that_pay_become_likelier_than_the_others_of_their_group(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, cut_words_count: None
) -> None:
    model_dir: Path = request.getfixturevalue(f"{kind}_dir")
    vocabulary = ReadableModel.load(model_dir).vocabulary
    policy = Policy(None if vocabulary is None else PhaseMachine(vocabulary), 1.5)
    result, _ = train_small(model_dir, tmp_path, steps=1)
    rows = list(result.rollouts)
    assert len(rows) == 16 and all(row["taught"] for row in rows)
    assert {row["end"] for row in rows[1::2]} == {"terminated"}
    models = [load_model(folder, _config()) for folder in (model_dir, tmp_path / "out" / "model")]
    worth, gains = [], []
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        ids = torch.tensor(
            [[*first["context_ids"], *first["output_ids"], *second["context_ids"], *second["output_ids"]]]
        )
        keep = len(second["output_ids"])
        with torch.no_grad():
            before, after = (policy.logprobs(model, ids, torch.ones_like(ids), keep).values.sum() for model in models)
        worth.append(second["advantage"])
        gains.append(float(after - before))
    assert np.corrcoef(worth, gains)[0, 1] > 0.5


def test_group_of_a_failed_environment_is_left_out_and_counted(
    mini_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_words_count: None
) -> None:
    monkeypatch.setattr(agent_rollouts, "instances_of", lambda *_: [4, 5])
    result, rollouts = train_small(mini_dir, tmp_path, steps=1)
    assert rollouts.aborted == 1 and {row["seed"] for row in result.rollouts} == {5}


def test_step_that_the_environment_answers_nothing_in_stops_the_training_and_is_drawn_again(
    mini_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_words_count: None
) -> None:
    """A server that died in the second step must not leave a start model that passes for a trained one."""
    monkeypatch.setattr(agent_rollouts, "instances_of", lambda seed, draw, count, below: [(0, 4)[draw], (5, 9)[draw]])
    with pytest.raises(EnvironmentFailed, match=r"^environment: lengthy failed in all instances of step 2; .* gone$"):
        train_small(mini_dir, tmp_path, steps=2)
    monkeypatch.setattr(agent_rollouts, "instances_of", lambda *_: [1, 2])
    result, _ = train_small(mini_dir, tmp_path, steps=2)
    assert result.resumed_from_step == 1 and {row["seed"] for row in result.rollouts if row["step"]} == {1, 2}


def test_prompts_that_leave_no_room_for_a_turn_are_refused(
    mini_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_words_count: None
) -> None:
    monkeypatch.setattr(agent_rollouts, "instances_of", lambda *_: [1, 2])
    rollout = {**SMALL["rollout"], "max_new_tokens": 8, "max_episode_tokens": 9}
    with pytest.raises(InputError, match=r"^agent\.rollout\.max_episode_tokens: 9 tokens leave no room for a turn"):
        train_small(mini_dir, tmp_path, steps=1, rollout=rollout)


def test_latent_only_of_a_model_without_latent_tokens_is_refused(mini_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^agent\.latent_only: needs a dual model"):
        AgentRollouts(SPEC, mini_dir, _config(latent_only=True), tmp_path)


def test_killed_training_goes_on_to_the_same_weights(mini_dir: Path, tmp_path: Path, cut_words_count: None) -> None:
    whole, _ = train_small(mini_dir, tmp_path / "whole", steps=3)

    def killed(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_small(mini_dir, tmp_path / "killed", killed, steps=3)
    resumed, _ = train_small(mini_dir, tmp_path / "killed", steps=3)
    assert resumed.resumed_from_step == 2
    rows = list(whole.rollouts)
    assert list(resumed.rollouts) == rows and len({row["seed"] for row in rows}) == 6
    one, two = (load_model(tmp_path / name / "out" / "model", _config()) for name in ("whole", "killed"))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
