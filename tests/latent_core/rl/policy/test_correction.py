"""The difference between sampler and trainer in training: it is measured, and it weights what is learned."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from latent_core.benchmarks.problem import Problem
from latent_core.config.agents import AgentConfig
from latent_core.config.grpo import GrpoConfig, RolloutConfig
from latent_core.config.sampling import LogprobsOf, SamplingConfig, VllmConfig
from latent_core.generate.engine import Engine, Generation, Request
from latent_core.identity import fingerprint
from latent_core.rl.policy.engine import TransformersPolicy
from latent_core.rl.rollouts import agent_rollouts, problem_rollouts
from latent_core.rl.training import grpo
from latent_core.rl.training.grpo import reinforce
from tests.latent_core.rl.rollouts.test_agent_rollouts import train_small
from tests.latent_core.rl.training.test_training import SMALL, _first_is_best


class Doubting:
    """An engine that says of its tokens that they are `by` times as likely as they are."""

    def __init__(self, engine: Engine, by: float, asked: list[SamplingConfig]) -> None:
        self._engine = engine
        self._by = by
        self._asked = asked

    def generate(self, requests: Sequence[Request], sampling: SamplingConfig, finished: Any = None) -> list[Generation]:
        self._asked.append(sampling)
        return [
            one if one.logprobs is None else replace(one, logprobs=tuple(p + math.log(self._by) for p in one.logprobs))
            for one in self._engine.generate(requests, sampling, finished)
        ]


@pytest.fixture
def asked() -> list[SamplingConfig]:
    """How the engine was asked to sample, call by call."""
    return []


def _policy(by: float, asked: list[SamplingConfig]) -> Any:
    class Policy(TransformersPolicy):
        @contextmanager
        def serving(self, trainer: Any) -> Iterator[Any]:
            with super().serving(trainer) as engine:
                yield Doubting(engine, by, asked)

    return lambda config, rollout, model_dir, longest: Policy(model_dir)


@pytest.mark.parametrize("kind", ["mini", "dual"])
def test_advantages_are_weighted_by_the_trainers_over_the_samplers_probability_up_to_the_cap(
    kind: str,
    request: pytest.FixtureRequest,
    problems: Sequence[Problem],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: list[SamplingConfig],
) -> None:
    model_dir: Path = request.getfixturevalue(f"{kind}_dir")
    monkeypatch.setattr(grpo, "judge", _first_is_best)
    norms, found = {}, {}
    for name, by, rollout in (
        ("transformers", 1.0, {}),
        ("same", 1.0, {"engine": "vllm"}),
        ("half", 2.0, {"engine": "vllm"}),
        ("capped", 0.1, {"engine": "vllm", "importance_cap": 3.0}),
        ("off", 0.1, {"engine": "vllm", "importance_cap": None}),
    ):
        monkeypatch.setattr(problem_rollouts, "policy_engine", _policy(by, asked))
        settings = {**SMALL, "steps": 1, "rollout": {**SMALL["rollout"], "max_new_tokens": 8, **rollout}}
        result = reinforce(
            model_dir, problems, GrpoConfig.model_validate(settings), benchmark="word_problems",
            out_dir=tmp_path / name / "out", checkpoint_dir=tmp_path / name / "checkpoints",
        )  # fmt: skip
        norms[name] = result.curve[0]["grad_norm"]
        found[name] = result.diagnosis.get(0, {})
    norms = {name: norm / norms["transformers"] for name, norm in norms.items()}
    assert norms == pytest.approx({"transformers": 1, "same": 1, "half": 0.5, "capped": 3, "off": 1}, rel=1e-3)
    assert not found["transformers"] and not found["off"]
    assert 0 <= found["same"]["sampler_kl"] < 1e-7
    assert found["half"]["sampler_kl"] == pytest.approx(math.log(2) - 0.5, abs=1e-3)
    assert found["half"]["largest_difference"] == pytest.approx(math.log(2), abs=1e-3)
    assert [found[name]["capped_share"] for name in ("same", "half", "capped")] == [0, 0, 1]
    wanted = [sampling.logprobs and sampling.logprobs_of is LogprobsOf.SAMPLER for sampling in asked]
    assert wanted == [False, True, True, True, False]


def test_later_steps_on_the_same_rollouts_keep_the_weights_of_the_policy_that_was_to_sample(
    mini_dir: Path,
    problems: Sequence[Problem],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: list[SamplingConfig],
) -> None:
    """Adam takes the same first step whatever the scale, so the second gradients differ by the weights alone."""
    monkeypatch.setattr(grpo, "judge", _first_is_best)
    monkeypatch.setattr(problem_rollouts, "policy_engine", _policy(2.0, asked))
    norms, found = {}, {}
    for name, cap in (("off", None), ("half", 2.0)):
        rollout = {**SMALL["rollout"], "max_new_tokens": 8, "engine": "vllm", "importance_cap": cap}
        settings = {**SMALL, "steps": 2, "iterations": 2, "save_every": 2, "rollout": rollout}
        result = reinforce(
            mini_dir, problems, GrpoConfig.model_validate(settings), benchmark="word_problems",
            out_dir=tmp_path / name / "out", checkpoint_dir=tmp_path / name / "checkpoints",
        )  # fmt: skip
        norms[name] = [entry["grad_norm"] for entry in result.curve if "grad_norm" in entry]
        found[name] = result.diagnosis
    assert norms["half"] == pytest.approx([norm / 2 for norm in norms["off"]], rel=1e-3)
    assert found["half"][1]["sampler_kl"] > found["half"][0]["sampler_kl"] and not found["off"]


def test_episodes_bring_log_probabilities_of_their_own_tokens_alone(
    dual_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: list[SamplingConfig],
    cut_words_count: None,
) -> None:
    monkeypatch.setattr(agent_rollouts, "policy_engine", _policy(2.0, asked))
    rollout = {"samples": 4, "max_new_tokens": 16, "temperature": 1.5, "max_episode_tokens": 400, "engine": "vllm"}
    result, _ = train_small(dual_dir, tmp_path, steps=1, rollout=rollout)
    assert result.diagnosis[0]["sampler_kl"] == pytest.approx(math.log(2) - 0.5, abs=1e-3)
    assert result.diagnosis[0]["largest_difference"] == pytest.approx(math.log(2), abs=1e-3)


def test_engine_is_identity_and_its_options_are_not() -> None:
    plain, cap = GrpoConfig(), RolloutConfig(engine="vllm", importance_cap=3.0)
    served, tuned = RolloutConfig(engine="vllm"), RolloutConfig(engine="vllm", vllm=VllmConfig(max_num_seqs=4))
    prints = [fingerprint("s", 1, GrpoConfig(rollout=rollout), {}) for rollout in (served, tuned, cap)]
    assert prints[0] == prints[1] != fingerprint("s", 1, plain, {}) != prints[2] != prints[0]
    assert "engine" not in plain.rollout.identity() and "importance_cap" not in plain.rollout.identity()


@pytest.mark.parametrize("config", [GrpoConfig, AgentConfig])
def test_settings_without_an_effect_and_several_devices_are_refused(config: Any) -> None:
    with pytest.raises(ValueError, match=r"rollout\n.*importance_cap: transformers samples.*engine to vllm"):
        config.model_validate({"rollout": {"importance_cap": 4.0}})
    with pytest.raises(ValueError, match=r"rollout\n.*vllm\.tensor_parallel_size.*leave it out"):
        config.model_validate({"rollout": {"engine": "vllm", "vllm": {"tensor_parallel_size": 2}}})
