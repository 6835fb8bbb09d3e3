"""How far the sampler's log-probabilities are from the trainer's, in every environment: the largest |difference|.

    OMP_NUM_THREADS=1 python -m bench.episode_logprobs [--seeds 4]

Episodes of two turns by latent-mini and its dual, with every engine that is installed. The sampler's are those of the
distribution that a token was drawn from; the trainer's are computed anew over the whole episode. What a model writes
stands for its action whatever it says, so that episodes have a second turn.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from bench.record import add_json_option, save
from latent_core.config.sampling import LogprobsOf, SamplingConfig
from latent_core.dual import build_dual
from latent_core.dual.constraint import PhaseMachine
from latent_core.generate.engine import Engine, Generation
from latent_core.generate.transformers_engine import TransformersEngine
from latent_core.generate.vllm_engine import VllmEngine
from latent_core.models.readable import ReadableModel
from latent_core.models.source import open_model
from latent_core.rl.environments import environment_names, find_environment
from latent_core.rl.play.dialogue import Dialogue
from latent_core.rl.play.episodes import Episode, Player
from latent_core.rl.policy.logprobs import Policy
from latent_core.rl.policy.mismatch import sampler_trainer_kl

_CONTEXT = 8192  # more than latent-mini was trained for: some observations are long
_SAMPLING = SamplingConfig(temperature=1.0, max_new_tokens=24, logprobs=True, logprobs_of=LogprobsOf.SAMPLER)
_OPENED: dict[str, Callable[[Path], Engine]] = {"transformers": TransformersEngine, "vllm": VllmEngine}


@dataclass(frozen=True)
class _Acting(Player):
    """Acts for the model, which has not learned to play."""

    def _actions(self, output: Generation) -> tuple[str, ...]:
        return ("1",)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4, help="episodes of each environment")
    add_json_option(parser)
    options = parser.parse_args()

    engines = [name for name in _OPENED if name != "vllm" or find_spec("vllm") is not None]
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, directory in _models(Path(folder)).items():
            for name in engines:
                engine = _OPENED[name](directory)
                results[f"{kind}/{name}"] = _measured(directory, engine, options.seeds)
                engine.close()
                print(f"{kind}/{name}", json.dumps(results[f"{kind}/{name}"]), flush=True)
    save(options.json, results)


def _models(folder: Path) -> dict[str, Path]:
    """latent-mini and its dual, with a context in which all fits."""
    plain = Path(shutil.copytree(open_model("latent-mini").directory, folder / "plain"))
    config = json.loads((plain / "config.json").read_text(encoding="utf-8"))
    (plain / "config.json").write_text(json.dumps(config | {"max_position_embeddings": _CONTEXT}), encoding="utf-8")
    build_dual(plain, folder / "dual")
    return {"plain": plain, "dual": folder / "dual"}


def _measured(directory: Path, engine: Engine, seeds: int) -> dict[str, Any]:
    """Tokens compared, the largest difference by environment, and the divergence over all (nats a token)."""
    from transformers import AutoModelForCausalLM

    readable = ReadableModel.load(directory)
    vocabulary = readable.vocabulary
    machine = None if vocabulary is None else PhaseMachine(vocabulary, stop_ids=readable.family.stop_ids)
    policy = Policy(machine, _SAMPLING.temperature)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    largest: dict[str, float] = {}
    sampled: list[float] = []
    trained: list[float] = []
    for name in environment_names():
        spec = find_environment(name)
        player = _Acting(
            readable, engine, _SAMPLING, spec, Dialogue(readable, spec.instruction), _CONTEXT, most_turns=2
        )
        groups = player.play(range(seeds), samples=1, step=0).groups
        pairs = [_compared(policy, model, episode) for group in groups if group is not None for episode in group]
        sampler = [value for pair in pairs for value in pair[0]]
        trainer = [value for pair in pairs for value in pair[1]]
        largest[name] = max(abs(one - other) for one, other in zip(sampler, trainer, strict=True))
        sampled += sampler
        trained += trainer
    kl = sampler_trainer_kl(sampled, trained, [1] * len(sampled))
    return {"tokens": len(sampled), "kl": kl, "largest": max(largest.values()), "largest_difference": largest}


def _compared(policy: Policy, model: Any, episode: Episode) -> tuple[list[float], list[float]]:
    """What sampler and trainer say of an episode's own tokens."""
    ids = torch.tensor([[*episode.prompt_ids, *episode.completion_ids]])
    with torch.no_grad():
        whole = policy.logprobs(model, ids, torch.ones_like(ids), len(episode.completion_ids)).values[0].tolist()
    sampler = [value for turn in episode.turns for value in turn.output.logprobs or ()]
    return sampler, [value for value, own in zip(whole, episode.env_mask, strict=True) if own]


if __name__ == "__main__":
    main()
