"""PPO: advantages of constructed episodes, a policy that earns more, and a killed run that goes on to the same head."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from latent_core.config.agents import AgentConfig
from latent_core.config.ppo import GaeConfig
from latent_core.config.rl import RlFlowConfig
from latent_core.generate.engine import Generation
from latent_core.rl.curves import Curves
from latent_core.rl.environments import EnvironmentSpec
from latent_core.rl.play.episodes import Episode, Player, Turn
from latent_core.rl.policy.value_head import FILE, Critic
from latent_core.rl.rollouts.agent_rollouts import AgentRollouts
from latent_core.rl.rollouts.ppo import Ppo, credit, exchanged, whitened
from latent_core.rl.training import agent
from latent_core.rl.training.agent import reinforce_agent
from latent_core.rl.training.loop import PolicyResult, Sizes, train_policy

SMALL: dict[str, Any] = {
    "estimator": "ppo", "method": "full", "instances_per_step": 4, "steps": 6, "learning_rate": 1e-2,
    "micro_batch_size": 4, "save_every": 2,
    "rollout": {"samples": 2, "max_new_tokens": 2, "max_episode_tokens": 200},
}  # fmt: skip


class Vowel:
    """Two turns; a turn earns 1 for an action with an e in it. Odd instances pay 1 more, whatever is done."""

    def __init__(self) -> None:
        self.turn = 0
        self.seed = 0

    def reset(self, seed: int) -> tuple[str, dict[str, Any]]:
        self.turn, self.seed = 0, seed
        return f"Game {seed % 2}.", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.turn += 1
        return "More.", float("e" in action) + self.seed % 2, self.turn == 2, False, {}


SPEC = EnvironmentSpec("vowel", 1, "Write.", 2, Vowel, takes_text=True, lowest=0.0)


def _episode(*turns: tuple[int, int, float]) -> Episode:
    """Turns of so many context tokens, own tokens and reward."""
    played = [
        Turn((9,) * context, Generation((5,) * own, "stop"), ("a",), reward, {}) for context, own, reward in turns
    ]
    return Episode(1, 0, tuple(played), "terminated")


def _config(**settings: Any) -> AgentConfig:
    return AgentConfig.model_validate({**SMALL, **settings})


@pytest.fixture(scope="module")
def small_dir(mini_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights that reads and writes as the packaged one, and is smaller."""
    from transformers import AutoConfig, AutoModelForCausalLM

    directory = Path(shutil.copytree(mini_dir, tmp_path_factory.mktemp("small") / "model"))
    config = AutoConfig.from_pretrained(mini_dir)
    config.hidden_size, config.intermediate_size, config.num_hidden_layers = 64, 64, 1
    config.num_attention_heads, config.num_key_value_heads, config.head_dim = 2, 1, 16
    config.layer_types, config.initializer_range = config.layer_types[:1], 0.2  # states that differ
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    return directory


@pytest.fixture(autouse=True)
def cut_words_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns of a few tokens, which an untrained policy never ends, are actions all the same."""
    monkeypatch.setattr(Player, "_actions", lambda self, output: (self.model.decode(output.token_ids),))


def _train(model_dir: Path, root: Path, progress: Any = None, **settings: Any) -> PolicyResult:
    config = _config(**settings)
    rollouts = AgentRollouts(SPEC, model_dir, config, root / "checkpoints" / "rollouts")
    assert rollouts.ppo is not None
    return train_policy(
        model_dir, config, rollouts,
        Sizes(config.episodes_per_step, config.rollout.samples, config.rollout.max_episode_tokens),
        loss="dapo", temperature=1.0, out_dir=root / "out", checkpoint_dir=root / "checkpoints",
        critic=rollouts.ppo.critic, progress=progress,
    )  # fmt: skip


def test_credit_of_three_turns_is_as_reckoned_by_hand_though_the_first_and_the_last_earn_nothing() -> None:
    episode = _episode((4, 2, 0.0), (2, 1, 3.0), (1, 2, 0.0))
    values = np.array([0.5, 1.0, 2.0, 0.0, -1.0])
    config = GaeConfig(gamma_turn=0.5, lambda_turn=0.8, gamma_token=0.9, lambda_token=0.5)
    advantages, targets = credit(episode, values, config)
    # Ends: 0 - -1 = 1; 3 + .5 * -1 - 2 + .4 * 1 = .9; 0 + .5 * 2 - 1 + .4 * .9 = .36. Before the ends of turns 1 and 3:
    # .9 * 1 - .5 + .45 * .36 = .562 and .9 * -1 - 0 + .45 * 1 = -.45.
    assert advantages == pytest.approx([0.562, 0.36, 0.9, -0.45, 1.0])
    assert targets == pytest.approx([1.062, 1.36, 2.9, -0.45, 0.0])


def test_credit_without_discounts_is_what_still_comes_less_the_value() -> None:
    values = np.array([1.0, 2.0, 3.0])
    advantages, targets = credit(_episode((4, 2, -1.0), (2, 1, 3.0)), values, GaeConfig())
    assert targets == pytest.approx([2.0, 2.0, 3.0]) and advantages == pytest.approx(targets - values)


def test_episode_without_an_own_token_is_worth_nothing() -> None:
    advantages, targets = credit(_episode((4, 0, 0.0)), np.zeros(0), GaeConfig())
    assert advantages.shape == targets.shape == (0,)


def test_whitening_is_by_what_is_learned_and_equal_advantages_are_exactly_nothing() -> None:
    learned = np.array([1.0, 2.0, 6.0])
    white = whitened(learned, learned)
    assert white.mean() == pytest.approx(0) and white.std(ddof=1) == pytest.approx(1)
    assert whitened(np.array([3.0, 3.0 + learned.std(ddof=1)]), learned) == pytest.approx([0.0, 1.0])
    assert not whitened(np.full(8, 0.97), np.array([0.97] * 7 + [0.3 + 0.67])).any()


def test_placebo_gives_each_member_the_rewards_of_another_at_their_turns() -> None:
    group = [
        _episode((1, 1, 1.0), (1, 1, 2.0), (1, 1, 4.0)),
        _episode((1, 1, 8.0)),
        _episode((1, 1, 16.0), (1, 1, 0.0)),
    ]
    seen = {tuple(map(tuple, exchanged(group, seed, "0/1"))) for seed in range(40)}
    assert len(seen) == 6
    assert all(sorted(map(sum, rewards)) == [7.0, 8.0, 16.0] for rewards in seen)
    assert {rewards[1] for rewards in seen} == {(7.0,), (8.0,), (16.0,)}
    assert {rewards[2] for rewards in seen} == {(1.0, 6.0), (8.0, 0.0), (16.0, 0.0)}
    assert {rewards[0] for rewards in seen} == {(1.0, 2.0, 4.0), (8.0, 0.0, 0.0), (16.0, 0.0, 0.0)}


def _judged(
    config: AgentConfig, masks: list[list[int]], groups: list[list[Episode]] | None = None, step: int = 0
) -> tuple[list[Any], dict[str, float]]:
    """Of two episodes, by a head that knows nothing yet; and what was logged."""
    logged: dict[str, float] = {}
    trainer: Any = SimpleNamespace(
        accelerator=SimpleNamespace(reduce=lambda tensor, reduction: tensor), _log_metric=logged.__setitem__
    )
    ppo = Ppo(config, 4)
    groups = groups or [[_episode((3, 2, 1.0), (2, 1, 0.0))], [_episode((3, 2, -1.0))]]
    count = sum(sum(episode.env_mask) for group in groups for episode in group)
    setattr(ppo, "_states", lambda *_: torch.ones(count, 4))  # noqa: B010  # a method of the class
    return [worth for group in ppo.judge(groups, masks, None, step, trainer) for worth in group], logged


def test_judged_episodes_have_whitened_advantages_on_own_tokens_and_rows_that_tell_of_turns() -> None:
    config = _config(rollout={**SMALL["rollout"], "samples": 1})
    (one, other), logged = _judged(config, [[1, 1, 0, 0, 1], [1, 1]])
    # What comes: 1, 1 and 0 in the first, -1 and -1 in the second; their mean is 0 and their deviation 1.
    assert one.tokens == pytest.approx([1.0, 1.0, 0.0, 0.0, 0.0]) and other.tokens == pytest.approx([-1.0, -1.0])
    assert one.turns == [{"advantage": pytest.approx(1.0), "value": 0.0}, {"advantage": pytest.approx(0), "value": 0.0}]
    assert logged == {"value_loss": pytest.approx(0.8), "explained_variance": pytest.approx(0.0)}


def test_judged_tokens_and_turns_have_what_their_own_values_say_and_the_head_learns_returns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values, fitted = np.array([0.5, 1.0, 2.0, 0.25, -1.0]), []

    def fit(self: Critic, states: Any, targets: Any, total: Any) -> float:
        fitted.append(targets.tolist())
        return 0.0

    # Once it has been fitted, the head says something else.
    monkeypatch.setattr(Critic, "values", lambda self, states: values - 9 * len(fitted))
    monkeypatch.setattr(Critic, "fit", fit)
    groups = [[_episode((3, 2, 0.0), (2, 1, 4.0))], [_episode((3, 2, 1.0))]]
    config = _config(rollout={**SMALL["rollout"], "samples": 1})
    (one, other), logged = _judged(config, [[1, 1, 0, 0, 1], [1, 1]], groups)
    brought = np.array([4.0, 4.0, 4.0, 1.0, 1.0])
    white = (brought - values - np.mean(brought - values)) / np.std(brought - values, ddof=1)
    assert one.tokens == pytest.approx([white[0], white[1], 0, 0, white[2]]) and other.tokens == pytest.approx(
        white[3:]
    )
    assert [turn["advantage"] for turn in (*one.turns, *other.turns)] == pytest.approx(
        [white[:2].mean(), white[2], white[3:].mean()]
    )
    assert [turn["value"] for turn in (*one.turns, *other.turns)] == [0.5, 2.0, 0.25]
    assert fitted == [pytest.approx(brought.tolist())]
    assert logged["explained_variance"] == pytest.approx(1 - np.var(brought - values) / np.var(brought))


def test_tokens_that_are_not_learned_have_no_part_in_the_whitening() -> None:
    config = _config(rollout={**SMALL["rollout"], "samples": 1})
    (one, other), _ = _judged(config, [[1, 0, 0, 0, 0], [1, 0]])
    assert one.tokens[0] == pytest.approx(0.5**0.5) and other.tokens[0] == pytest.approx(-(0.5**0.5))


def test_judged_placebo_learns_from_rewards_in_an_order_that_every_step_draws_anew() -> None:
    group = [_episode((3, 1, 1.0)), _episode((3, 1, -1.0))]

    def signs(step: int, *, placebo: bool) -> tuple[float, float]:
        (one, other), _ = _judged(_config(placebo=placebo), [[1], [1]], [group], step)
        return one.tokens[0], other.tokens[0]

    assert all(signs(step, placebo=False) == pytest.approx((0.5**0.5, -(0.5**0.5))) for step in range(3))
    swapped = {one > 0 for one, _ in (signs(step, placebo=True) for step in range(12))}
    assert swapped == {True, False}


@pytest.mark.parametrize(
    ("estimator", "loss"),
    [("dr_grpo", "dr_grpo"), ("grpo", "grpo"), ("dapo", "dapo"), ("rloo", "dr_grpo"), ("turn_level", "dr_grpo"),
     ("gigpo", "dr_grpo"), ("ppo", "dapo")],
)  # fmt: skip
def test_training_averages_tokens_as_its_estimator_does_and_checkpoints_the_head_that_ppo_has(
    estimator: str, loss: str, small_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def keep(model_dir: Path, config: AgentConfig, rollouts: AgentRollouts, sizes: Sizes, **named: Any) -> None:
        asked.update(named, rollouts=rollouts, sizes=sizes)

    monkeypatch.setattr(agent, "train_policy", keep)
    config = _config(estimator=estimator)
    reinforce_agent(small_dir, "bandit", config, out_dir=tmp_path / "out", checkpoint_dir=tmp_path / "checkpoints")
    assert asked["loss"] == loss and asked["sizes"] == Sizes(8, 2, 200)
    ppo = asked["rollouts"].ppo
    assert (ppo is not None) == (estimator == "ppo") and asked["critic"] is (ppo and ppo.critic)


def test_policy_earns_more_from_groups_of_one_and_the_head_explains_why(small_dir: Path, tmp_path: Path) -> None:
    rollout = SMALL["rollout"] | {"samples": 1}
    result = _train(
        small_dir, tmp_path, steps=25, instances_per_step=32, micro_batch_size=32, learning_rate=5e-3, save_every=25,
        rollout=rollout, value={"learning_rate": 1e-2},
    )  # fmt: skip
    curves = Curves()
    for row in result.rollouts:
        assert row["taught"]
        curves.add(row | {"return": row["return"] - 2 * (row["seed"] % 2)})
    curves.add_logged(result.curve)
    steps = curves.steps()
    earned = [step["return"] for step in steps]
    assert np.mean(earned[-5:]) > np.mean(earned[:5]) + 0.4
    assert steps[0]["explained_variance"] == 0 and np.mean([step["explained_variance"] for step in steps[-5:]]) > 0.15
    assert len(steps) == 25 and all(step["value_loss"] >= 0 for step in steps)
    assert not any("within_group_std" in step for step in steps)  # groups of one have none


def test_killed_training_goes_on_to_the_same_weights_and_values(small_dir: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"iterations": 2, "value": {"clip": 0.5}}
    whole = _train(small_dir, tmp_path / "whole", **settings)

    def killed(done: int, total: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _train(small_dir, tmp_path / "killed", killed, **settings)
    resumed = _train(small_dir, tmp_path / "killed", **settings)
    assert resumed.resumed_from_step == 4
    rows = list(whole.rollouts)
    assert list(resumed.rollouts) == rows and len({row["value"] for row in rows if row["step"] == 4}) > 1
    one, other = (tmp_path / name for name in ("whole", "killed"))
    for name, weights in _weights(one / "out" / "model").items():
        assert torch.equal(weights, _weights(other / "out" / "model")[name])
    heads = [load_file(folder / "checkpoints" / "checkpoint-6" / FILE) for folder in (one, other)]
    assert all(torch.equal(heads[0][name], heads[1][name]) for name in heads[0])
    assert not (one / "out" / "model" / FILE).exists()


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return found


def test_policy_stands_still_while_the_head_warms_up(small_dir: Path, tmp_path: Path) -> None:
    result = _train(small_dir, tmp_path, steps=2, save_every=1, value={"warmup_steps": 1})
    rows = list(result.rollouts)
    assert [row["taught"] for row in rows] == [False] * 16 + [True] * 16
    start, first = _weights(small_dir), _weights(tmp_path / "checkpoints" / "checkpoint-1")
    last = _weights(tmp_path / "out" / "model")
    assert all(torch.equal(start[name], first[name]) for name in start)
    assert any(not torch.equal(start[name], last[name]) for name in start)
    assert {row["value"] for row in rows if row["step"] == 0} == {0.0}
    assert 0.0 not in {row["value"] for row in rows if row["step"] == 1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"keep_signal": 0.5}, r"agent\.keep_signal: ppo learns from groups of equal returns"),
        ({"rollout": {"samples": 1}, "instances_per_step": 1, "micro_batch_size": 1}, r"instances_per_step: .*two"),
        ({"value": {"warmup_steps": 6}}, r"agent\.value\.warmup_steps: 6 leave none of the 6 steps"),
        ({"value": {"warmup_steps": 1}, "iterations": 2}, r"agent\.value\.warmup_steps: 1 is no multiple"),
        ({"rollout": {"samples": 1}, "placebo": True}, r"agent\.placebo: .*groups of one"),
        ({"estimator": "grpo", "value": {"clip": 0.2}}, r"agent\.value: only ppo has values"),
        ({"estimator": "grpo", "gae": {"gamma_turn": 0.9}}, r"agent\.gae: only ppo has values"),
        ({"estimator": "rloo", "rollout": {"samples": 1}}, r"agent\.rollout\.samples: rloo"),
    ],
)  # fmt: skip
def test_settings_without_a_meaning_are_refused_by_name(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _config(**settings)


def test_flow_refuses_a_placebo_of_groups_of_one() -> None:
    agent = {"estimator": "ppo", "rollout": {"samples": 1}}
    with pytest.raises(ValueError, match=r"placebo: permutes rewards within a group"):
        RlFlowConfig.model_validate({"agent": agent})
    assert RlFlowConfig.model_validate({"agent": agent, "placebo": False}).agent.rollout.samples == 1


def test_settings_of_ppo_are_no_part_of_other_estimators_identities() -> None:
    assert not {"gae", "value"} & AgentConfig().identity().keys()
    assert "value" in _config(value={"clip": 0.5}).identity()
