"""vLLM with a policy's weights: it says what the model in training says, after every hand-over, and nothing older."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from latent_core import prompts
from latent_core.benchmarks.problem import Problem
from latent_core.benchmarks.word_problems import generate_problem
from latent_core.config.grpo import GrpoConfig
from latent_core.config.sampling import LogprobsOf, SamplingConfig
from latent_core.errors import InputError
from latent_core.generate import vllm_engine
from latent_core.generate.engine import Generation, Request
from latent_core.generate.transformers_engine import TransformersEngine
from latent_core.generate.vllm_engine import VllmEngine
from latent_core.models.readable import ReadableModel
from latent_core.rl.policy.engine import VllmPolicy
from latent_core.rl.policy.generating import generating
from latent_core.rl.rollouts.agent_rollouts import AgentRollouts
from latent_core.rl.rollouts.problem_rollouts import Rollouts
from latent_core.rl.training import grpo, loop
from latent_core.rl.training.grpo import reinforce
from tests.latent_core.rl.policy.test_trained_weights import in_training
from tests.latent_core.rl.rollouts.test_agent_rollouts import SPEC, _config, train_small
from tests.latent_core.rl.training.test_training import SMALL, _first_is_best

GREEDY = SamplingConfig(max_new_tokens=60)
needs_vllm = pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed")


def test_missing_vllm_is_an_error_before_any_model_is_loaded(
    mini_dir: Path, problems: Sequence[Problem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_engine, "find_spec", lambda name: None)
    monkeypatch.setattr(loop, "load_model", lambda *_: pytest.fail("loaded"))
    config = GrpoConfig.model_validate({**SMALL, "rollout": {**SMALL["rollout"], "engine": "vllm"}})
    with pytest.raises(InputError, match=r"vllm is not installed.*transformers"):
        reinforce(mini_dir, problems, config, benchmark="b", out_dir=tmp_path, checkpoint_dir=tmp_path)
    with pytest.raises(InputError, match=r"vllm is not installed.*transformers"):
        AgentRollouts(SPEC, mini_dir, _config(rollout={"engine": "vllm"}), tmp_path)


def test_adapter_beside_its_base_takes_no_other_weights(
    mini_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_engine, "find_spec", lambda name: object())
    (tmp_path / "adapter_config.json").write_text('{"r": 8}')
    with pytest.raises(ValueError, match="hand_over: an adapter"):
        VllmEngine(mini_dir, adapter_dir=tmp_path).hand_over(lambda: [])


def test_weights_are_taken_once_and_again_after_every_start(mini_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_engine, "find_spec", lambda name: object())
    taken: list[tuple[Any, str]] = []
    engine = VllmEngine(mini_dir)
    starts = iter(range(9))
    monkeypatch.setattr(engine, "_start", lambda length: next(starts))
    monkeypatch.setattr(engine, "close", lambda: None)
    monkeypatch.setattr(engine, "_run", lambda requests, sampling: iter([(0, Generation((1,), "stop"))]))
    monkeypatch.setattr(vllm_engine, "load_weights", lambda llm, weights: taken.append((llm, weights)))
    short, longer = Request((5,) * 9, 0), Request((5,) * 900, 0)
    sampler = SamplingConfig(max_new_tokens=5, temperature=1.0, logprobs=True, logprobs_of=LogprobsOf.SAMPLER)
    engine.generate([short], GREEDY)
    engine.hand_over(lambda: "one")  # type: ignore[arg-type, return-value]
    engine.generate([short], GREEDY)
    engine.generate([longer], GREEDY)
    engine.hand_over(lambda: "two")  # type: ignore[arg-type, return-value]
    engine.generate([short], GREEDY)
    engine.generate([short], sampler)
    assert taken == [(0, "one"), (0, "two"), (1, "two")]


def _trainer(model: Any) -> Any:
    return SimpleNamespace(model=model, accelerator=SimpleNamespace(unwrap_model=lambda model: model))


def _requests(model_dir: Path, count: int = 6) -> list[Request]:
    model = ReadableModel.load(model_dir)
    found = []
    for index in range(count):
        problem = generate_problem("test", index, difficulty=1 + index % 3)
        text = prompts.render_prompt(problem.question, model.tokenizer, model.family)
        found.append(Request(tuple(model.encode_packed(text)), seed=index))
    return found


def _said(model: Any, model_dir: Path, requests: Sequence[Request]) -> list[Generation]:
    with generating(model):
        return TransformersEngine.around(model, model_dir).generate(requests, GREEDY)


def _move(model: Any, seed: int, by: float = 0.15) -> None:
    """A step of a training: everything that learns moves."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += by * parameter.std() * torch.randn_like(parameter)


@pytest.fixture
def policy(request: pytest.FixtureRequest) -> Iterator[tuple[VllmPolicy, Any, Path]]:
    kind, settings = request.param
    model_dir: Path = request.getfixturevalue(f"{kind}_dir")
    model, config, _ = in_training(model_dir, **settings)
    opened = VllmPolicy(config, config.rollout, model_dir, longest=0)
    yield opened, model, model_dir
    opened.close()


@needs_vllm
@pytest.mark.parametrize(
    "policy", [("mini", {"method": "full"}), ("mini", {}), ("dual", {"method": "full"}), ("dual", {})],
    indirect=True, ids=str,
)  # fmt: skip
def test_engine_says_greedily_what_the_model_in_training_says_after_every_hand_over(
    policy: tuple[VllmPolicy, Any, Path],
) -> None:
    opened, model, model_dir = policy
    requests = _requests(model_dir)  # the same every time, so that a prefix kept from older weights would be hit
    said = []
    for step in range(3):
        expected = _said(model, model_dir, requests)
        with opened.serving(_trainer(model)) as engine:
            assert engine.generate(requests, GREEDY) == expected
        said.append([one.token_ids for one in expected])
        _move(model, step)
    assert said[0] != said[1] != said[2], "the weights moved too little to tell"


@needs_vllm
@pytest.mark.parametrize("kind", ["mini", "dual"])
def test_every_step_of_a_training_samples_with_the_weights_of_the_trainer(
    kind: str, request: pytest.FixtureRequest, problems: Sequence[Problem], tmp_path: Path, monkeypatch: Any
) -> None:
    """A step of learning rate 1e-2 moves much: an engine one step behind would differ from the trainer at once."""
    model_dir: Path = request.getfixturevalue(f"{kind}_dir")
    monkeypatch.setattr(grpo, "judge", _first_is_best)
    config = GrpoConfig.model_validate({**SMALL, "steps": 3, "rollout": {**SMALL["rollout"], "engine": "vllm"}})
    result = reinforce(
        model_dir, problems, config, benchmark="word_problems", out_dir=tmp_path / "out",
        checkpoint_dir=tmp_path / "checkpoints",
    )  # fmt: skip
    assert list(result.diagnosis) == [0, 1, 2]
    assert max(found["largest_difference"] for found in result.diagnosis.values()) < 1e-3
    rows = list(result.rollouts)
    assert len(rows) == 12 and len({tuple(row["output_token_ids"]) for row in rows}) > 6


@needs_vllm
def test_agents_play_with_vllm_and_a_killed_training_goes_on_from_its_checkpoint(
    dual_dir: Path,
    tmp_path: Path,
    cut_words_count: None,
) -> None:
    rollout = {"samples": 4, "max_new_tokens": 16, "temperature": 1.5, "max_episode_tokens": 400, "engine": "vllm"}

    def killed(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_small(dual_dir, tmp_path, killed, steps=3, rollout=rollout)
    result, _ = train_small(dual_dir, tmp_path, steps=3, rollout=rollout)
    assert result.resumed_from_step == 2
    assert {row["turn"] for row in result.rollouts} == {0, 1}
    assert max(found["largest_difference"] for found in result.diagnosis.values()) < 1e-3


def test_rollouts_let_the_engine_go_when_a_training_fails(
    mini_dir: Path, problems: Sequence[Problem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: list[Rollouts] = []
    monkeypatch.setattr(Rollouts, "let_go", lambda self: gone.append(self))

    def fail(*_: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(Rollouts, "__call__", fail)
    with pytest.raises(RuntimeError, match="a fault"):
        reinforce(
            mini_dir, problems, GrpoConfig.model_validate(SMALL), benchmark="word_problems", out_dir=tmp_path,
            checkpoint_dir=tmp_path,
        )  # fmt: skip
    assert len(gone) == 1
