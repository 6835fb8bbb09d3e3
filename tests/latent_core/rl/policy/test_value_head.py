"""The value head: the states it reads, what it learns, what it keeps, and the same with several processes."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from latent_core.config.ppo import ValueConfig
from latent_core.likelihood.hidden_states import hidden_states
from latent_core.rl.policy.value_head import Critic, Written, explained_variance, hidden_width, states_before

WORTH = {5: -2.0, 6: 0.5, 7: 3.0, 8: -0.5, 9: 1.0}
"""Of a state whose newest token it is."""


@pytest.fixture(scope="module")
def model(causal_lm: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(causal_lm)


def _episodes(count: int, seed: int) -> list[Written]:
    """Completions of 6 to 12 tokens, those of contexts among them."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        completion = random.choice(list(WORTH), size=random.integers(6, 13)).tolist()
        acted = [1, 1, 0, 0, *[1] * (len(completion) - 4)]
        found.append(Written(random.choice(list(WORTH), size=3).tolist(), completion, acted))
    return found


def _worth_before(episodes: list[Written]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(
        [
            WORTH[newest]
            for one in episodes
            for newest, own in zip([one.prompt[-1], *one.completion], one.acted, strict=False)
            if own
        ]
    )


def test_states_are_those_before_own_tokens_whatever_is_read_with_them(model: Any) -> None:
    episodes = _episodes(5, 0)
    together, alone = states_before(model, episodes, 5), states_before(model, episodes, 1)
    assert torch.allclose(together, alone, atol=1e-5)
    one = episodes[0]
    with torch.no_grad():
        states = hidden_states(model, input_ids=torch.tensor([[*one.prompt, *one.completion]]))[0]
    places = [len(one.prompt) - 1 + place for place, own in enumerate(one.acted) if own]
    assert torch.allclose(alone[: len(places)], states[places], atol=1e-5)


@pytest.mark.parametrize(("units", "least"), [(0, 0.6), (64, 0.9)])
def test_head_learns_a_constructed_value_and_tells_it_of_episodes_it_has_not_seen(
    model: Any, units: int, least: float
) -> None:
    critic = Critic(32, ValueConfig(units=units, learning_rate=2e-2, updates=200), 1)
    seen, unseen = _episodes(150, 1), _episodes(40, 2)
    states = states_before(model, unseen, 40)
    assert not critic.values(states).any()
    before = critic.fit(states_before(model, seen, 50), _worth_before(seen))
    assert before == pytest.approx(np.square(_worth_before(seen)).mean())
    assert explained_variance(_worth_before(unseen), critic.values(states)) > least


def test_clip_holds_values_near_where_they_were() -> None:
    states, targets = torch.randn(50, 8, generator=torch.manual_seed(0)), np.full(50, 10.0)
    moved = {}
    for clip in (None, 0.2):
        critic = Critic(8, ValueConfig(units=0, clip=clip, learning_rate=1e-3, updates=500), 1)
        critic.fit(states, targets)
        moved[clip] = np.abs(critic.values(states)).max()
    assert 0.15 < moved[0.2] < 0.4 and moved[None] > 1.0


def test_restored_head_tells_and_learns_as_the_one_that_was_saved(tmp_path: Path) -> None:
    states, targets = torch.randn(20, 8, generator=torch.manual_seed(0)), np.arange(20.0)
    saved, restored = Critic(8, ValueConfig(), 1), Critic(8, ValueConfig(), 2)
    saved.fit(states, targets)
    saved.save(tmp_path)
    restored.restore(tmp_path)
    for _ in range(2):
        assert np.array_equal(saved.values(states), restored.values(states))
        assert saved.fit(states, targets) == restored.fit(states, targets)


def test_processes_with_unequal_shares_fit_one_head() -> None:
    states, targets = torch.randn(20, 8, generator=torch.manual_seed(0)), np.arange(20.0)
    config = ValueConfig(learning_rate=1e-2)
    alone = Critic(8, config, 1)
    loss = alone.fit(states, targets)
    barrier, given = threading.Barrier(3), {}
    shares = [slice(0, 5), slice(5, 20), slice(20, 20)]
    critics = [Critic(8, config, 1) for _ in shares]
    losses: dict[int, float] = {}

    def process(rank: int) -> None:
        def total(tensor: torch.Tensor) -> torch.Tensor:
            given[rank] = tensor
            barrier.wait(10)
            result = torch.stack([given[one] for one in range(len(shares))]).sum(dim=0)
            barrier.wait(10)
            return result

        losses[rank] = critics[rank].fit(states[shares[rank]], targets[shares[rank]], total)

    threads = [threading.Thread(target=process, args=(rank,)) for rank in range(len(shares))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rank, critic in enumerate(critics):
        assert np.allclose(critic.values(states), alone.values(states), atol=1e-4)
        assert losses[rank] == pytest.approx(loss)


def test_fit_of_no_token_changes_nothing() -> None:
    states, critic = torch.randn(20, 8, generator=torch.manual_seed(0)), Critic(8, ValueConfig(), 1)
    critic.fit(states, np.arange(20.0))
    before = critic.values(states)
    assert math.isnan(critic.fit(critic.nothing(), np.zeros(0)))
    assert np.array_equal(critic.values(states), before)  # the optimizer's momentum stands still too


def test_explained_variance_of_known_cases() -> None:
    targets = np.array([0.0, 1.0, 2.0, 3.0])
    assert explained_variance(targets, targets + 7) == 1
    assert explained_variance(targets, np.ones(4)) == 0
    assert explained_variance(targets, -targets) == pytest.approx(-3)
    assert math.isnan(explained_variance(np.full(4, 0.97), targets))


def test_width_is_that_of_the_hidden_states(causal_lm: Path) -> None:
    assert hidden_width(causal_lm) == 32
