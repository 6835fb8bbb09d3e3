"""What the sampler says of its tokens is what the trainer says: in every environment, at every turn, for any engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from latent_core.benchmarks.word_problems import generate_problem
from latent_core.config.sampling import LogprobsOf, SamplingConfig
from latent_core.dual import build_dual
from latent_core.dual.constraint import Phase, PhaseMachine
from latent_core.dual.transformers_constraint import DualLogitsProcessor
from latent_core.generate.engine import Engine, Generation
from latent_core.generate.transformers_engine import TransformersEngine
from latent_core.generate.vllm_engine import VllmEngine
from latent_core.models.readable import ReadableModel
from latent_core.models.source import open_model
from latent_core.prompts import INSTRUCTION
from latent_core.rl.environments import EnvironmentSpec, environment_names, find_environment
from latent_core.rl.play.dialogue import Dialogue
from latent_core.rl.play.episodes import Episode, Player
from latent_core.rl.policy.logprobs import Policy
from latent_core.rl.policy.mismatch import sampler_trainer_kl

CONTEXT = 8192  # more than the model was trained for, so that no observation is too long to be answered
SAMPLING = SamplingConfig(temperature=1.5, max_new_tokens=8, logprobs=True, logprobs_of=LogprobsOf.SAMPLER)
ENGINES = [
    "transformers",
    pytest.param("vllm", marks=pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed")),
]


@dataclass(frozen=True)
class Acting(Player):
    """Acts for the model, which has not learned to play, so that episodes have more than one turn."""

    def _actions(self, output: Generation) -> tuple[str, ...]:
        return ("1",)


class Asking:
    """A word problem a turn, of the kind that the model answers and then ends its turn."""

    def reset(self, seed: int) -> tuple[str, dict[str, Any]]:
        self._next = seed
        return self._asked(), {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        return self._asked(), 0.0, False, False, {}

    def _asked(self) -> str:
        self._next += 1
        return generate_problem("test", self._next, difficulty=1).question


ASKING = EnvironmentSpec("asking", 1, INSTRUCTION, 2, Asking, lowest=0.0)


@pytest.fixture(scope="module", params=["plain", "dual"])
def model_dir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """latent-mini or its dual, with a context in which all fits."""
    folder = tmp_path_factory.mktemp("model")
    base = Path(shutil.copytree(open_model("latent-mini").directory, folder / "plain"))
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"max_position_embeddings": CONTEXT}))
    if request.param == "dual":
        build_dual(base, folder / "dual")
    return folder / str(request.param)


@pytest.fixture(scope="module", params=ENGINES)
def engine(model_dir: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    opened: Engine = TransformersEngine(model_dir) if request.param == "transformers" else VllmEngine(model_dir)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def readable(model_dir: Path) -> ReadableModel:
    return ReadableModel.load(model_dir)


@pytest.fixture(scope="module")
def machine(readable: ReadableModel) -> PhaseMachine | None:
    vocabulary = readable.vocabulary
    return None if vocabulary is None else PhaseMachine(vocabulary, stop_ids=readable.family.stop_ids)


@pytest.fixture(scope="module")
def rescored(model_dir: Path, machine: PhaseMachine | None) -> Callable[[tuple[int, ...], int], list[float]]:
    """The trainer's log-probabilities of the last tokens of some ids."""
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    policy = Policy(machine, SAMPLING.temperature)

    def score(ids: tuple[int, ...], keep: int) -> list[float]:
        row = torch.tensor([ids])
        with torch.no_grad():
            found: list[float] = policy.logprobs(model, row, torch.ones_like(row), keep).values[0].tolist()
        return found

    return score


def _episodes(
    readable: ReadableModel, engine: Engine, spec: EnvironmentSpec, sampling: SamplingConfig
) -> list[Episode]:
    dialogue = Dialogue(readable, spec.instruction)
    (group,) = (
        Acting(readable, engine, sampling, spec, dialogue, CONTEXT, most_turns=2).play([1], samples=2, step=0).groups
    )
    assert group is not None, "the environment failed"
    return group


@pytest.mark.parametrize("name", [ASKING.name, *environment_names()])
def test_every_output_of_an_episode_is_as_likely_to_the_trainer_as_to_the_sampler(
    name: str, readable: ReadableModel, engine: Engine, rescored: Callable[[tuple[int, ...], int], list[float]]
) -> None:
    spec = ASKING if name == ASKING.name else find_environment(name)
    sampling = SAMPLING.model_copy(update={"max_new_tokens": 150}) if spec is ASKING else SAMPLING
    episodes = _episodes(readable, engine, spec, sampling)
    for episode in episodes:
        before: tuple[int, ...] = ()
        for turn in episode.turns:
            before += turn.context
            output = turn.output
            assert output.token_ids and output.logprobs is not None
            before += output.token_ids
            assert rescored(before, len(output.token_ids)) == pytest.approx(output.logprobs, abs=1e-4)
        sampler = [value for turn in episode.turns for value in turn.output.logprobs or ()]
        whole = rescored(episode.prompt_ids + episode.completion_ids, len(episode.completion_ids))
        trainer = [value for value, own in zip(whole, episode.env_mask, strict=True) if own]
        assert trainer == pytest.approx(sampler, abs=1e-4)
        assert sampler_trainer_kl(sampler, trainer, [1] * len(sampler)) < 1e-7
    if spec is ASKING:
        turns = [turn for episode in episodes for turn in episode.turns]
        assert len(turns) == 4 and any(turn.output.finish_reason == "stop" for turn in turns)


def test_model_alone_finds_a_dual_models_tokens_less_likely_than_its_sampler(
    readable: ReadableModel, engine: Engine
) -> None:
    """Else the two would be one, and the property above would say nothing of the constraint and the temperature."""
    of_model = SAMPLING.model_copy(update={"logprobs_of": LogprobsOf.MODEL})
    outputs = [
        [turn.output for episode in _episodes(readable, engine, ASKING, sampling) for turn in episode.turns]
        for sampling in (SAMPLING, of_model)
    ]
    assert [one.token_ids for one in outputs[0]] == [one.token_ids for one in outputs[1]]
    gaps = [
        of_sampler - of_model
        for one, other in zip(*outputs, strict=True)
        for of_sampler, of_model in zip(one.logprobs or (), other.logprobs or (), strict=True)
    ]
    assert max(map(abs, gaps)) > 1e-3, "ten times what the property allows"
    if readable.vocabulary is not None:
        assert sum(gaps) > 0


@pytest.mark.parametrize("model_dir", ["dual"], indirect=True)  # a plain model has no phases to add to
def test_end_bias_of_the_sampler_is_in_the_trainers_log_probabilities(
    model_dir: Path, readable: ReadableModel, machine: PhaseMachine | None
) -> None:
    assert machine is not None
    biased = replace(machine, end_bias=4.0)
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    opening = Dialogue(readable, INSTRUCTION).opening(generate_problem("test", 1, difficulty=1).question)
    end = machine.vocabulary.think_end_id
    latents = machine.allowed[Phase.THINK].nonzero()[0][-6:].tolist()
    ids = torch.tensor([[*opening, *latents, end, *opening[:3]]])
    keep = len(latents) + 4
    with torch.no_grad():
        found = Policy(biased, SAMPLING.temperature).logprobs(model, ids, torch.ones_like(ids), keep).values[0]
        without = Policy(machine, SAMPLING.temperature).logprobs(model, ids, torch.ones_like(ids), keep).values[0]
        logits = model(ids).logits[0]
    sampler = DualLogitsProcessor(biased)
    for place in range(keep):
        upto = ids.shape[1] - keep + place
        scores = sampler(ids[:, :upto], logits[None, upto - 1]) / SAMPLING.temperature
        drawn = float(scores.log_softmax(-1)[0, ids[0, upto]])
        assert float(found[place]) == pytest.approx(drawn, abs=1e-4)
    closing = len(latents)
    assert float(found[closing] - without[closing]) > 1
    assert found[closing + 1 :].tolist() == without[closing + 1 :].tolist()
