"""Rollouts of agents: episodes of the model in training, and what each of their tokens is worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latent_core.config.agents import HELD_OUT, AgentConfig, Estimator
from latent_core.config.sampling import SamplingConfig
from latent_core.generate.transformers_engine import TransformersEngine
from latent_core.generate.vllm_engine import context_of
from latent_core.models.readable import ReadableModel
from latent_core.rl import advantages
from latent_core.rl.dialogue import Dialogue
from latent_core.rl.draws import instances_of
from latent_core.rl.environments import EnvironmentSpec
from latent_core.rl.episodes import Episode, Player, instruction_of
from latent_core.rl.lengths import permuted
from latent_core.rl.played import turn_rows, turn_schema
from latent_core.rl.processes import Processes
from latent_core.rl.rollout_files import RolloutFiles
from latent_core.rl.rollouts import generating

if TYPE_CHECKING:
    import pyarrow as pa

_SEEDS_APART = 1_000_000  # more than there are steps, so that two runs' seeds share none
_WHOLE = {
    Estimator.DR_GRPO: advantages.dr_grpo,
    Estimator.GRPO: advantages.grpo,
    Estimator.DAPO: advantages.grpo,
    Estimator.RLOO: advantages.rloo,
}


def agent_schema() -> pa.Schema:
    """Columns of a turn in training: `step` counts from 0, `taught` is false where the filter left the group out."""
    import pyarrow as pa

    schema = pa.schema([("step", pa.int32()), *turn_schema()])
    return schema.append(pa.field("advantage", pa.float64())).append(pa.field("taught", pa.bool_()))


class AgentRollouts:
    """TRL's `rollout_func` over an environment; instances and seeds follow from the seed and the step alone.

    Of several processes each plays and trains its share of the instances.
    """

    def __init__(self, spec: EnvironmentSpec, model_dir: Path, config: AgentConfig, folder: Path) -> None:
        self._spec = spec
        self._model_dir = model_dir
        self._config = config
        self._readable = ReadableModel.load(model_dir)
        self._files = RolloutFiles(folder, agent_schema())
        self._engine: TransformersEngine | None = None
        self.aborted = 0
        """Groups whose environment failed, in this process."""

    def __call__(self, prompts: Sequence[str], trainer: Any) -> dict[str, list[Any]]:
        """Ids as sampled, returns (which TRL logs), masks, and what `PolicyTrainer` learns from."""
        config, step, processes = self._config, int(trainer.state.global_step), Processes.here()
        samples = config.rollout.samples
        per_step = len(prompts) * processes.count // samples
        seeds = processes.share(instances_of(config.seed, step // config.iterations, per_step, HELD_OUT))
        groups = self._play(seeds, step, trainer)
        self.aborted += groups.count(None)
        returns = [None if group is None else [episode.total for episode in group] for group in groups]
        batch: dict[str, list[Any]] = {name: [] for name in _KEYS}
        rows: list[dict[str, Any]] = []
        for group, kept in zip(groups, processes.kept(returns, config.keep_signal), strict=True):
            worth = [] if group is None else turn_advantages(group, config, step)
            for place in range(samples):
                entry = _nothing(self._readable) if group is None else self._entry(group[place], worth[place])
                for name, value in (entry | {"kept": kept}).items():
                    batch[name].append(value)
                if group is not None:
                    turns = zip(turn_rows(group[place], self._readable), worth[place], strict=True)
                    rows += [row | {"step": step, "advantage": float(one), "taught": kept} for row, one in turns]
        processes.write(self._files, step, rows)
        return batch | _TRAINERS_OWN

    def let_go(self) -> None:
        """Hold the trained model no longer; only `rows` may follow."""
        self._engine = None

    def rows(self, steps: int) -> Iterator[dict[str, Any]]:
        """All turns of the first `steps` optimizer steps, in order."""
        return self._files.rows(range(0, steps, self._config.iterations))

    def _play(self, seeds: Sequence[int], step: int, trainer: Any) -> list[list[Episode] | None]:
        model = trainer.accelerator.unwrap_model(trainer.model)
        if self._engine is None or self._engine.model is not model:
            self._engine = TransformersEngine.around(model, self._model_dir)
        rollout, rules = self._config.rollout, self._config.rules
        player = Player(
            self._readable,
            self._engine,
            SamplingConfig(
                temperature=rollout.temperature,
                max_new_tokens=rollout.max_new_tokens,
                batch_tokens=rollout.batch_tokens,
                seed=self._config.seed * _SEEDS_APART + step,
            ),
            self._spec,
            Dialogue(self._readable, instruction_of(self._spec)),
            min(rollout.max_episode_tokens, context_of(self._model_dir)),
            format_penalty=rules.format_penalty,
            most_turns=rules.max_turns,
        )
        with generating(model), trainer.accelerator.autocast():
            return player.play(seeds, samples=rollout.samples, step=step)

    def _entry(self, episode: Episode, worth: Sequence[float]) -> dict[str, Any]:
        """What TRL is given of one episode; `worth` has an advantage for every turn."""
        completion = episode.completion_ids
        tokens: list[float] = []
        for place, turn in enumerate(episode.turns):
            tokens += [0.0] * (len(turn.context) if place else 0) + [float(worth[place])] * len(turn.output.token_ids)
        return {
            "prompt_ids": list(episode.prompt_ids),
            "completion_ids": list(completion),
            "env_mask": self._mask(episode),
            "reward": episode.total,
            "advantages": tokens,
        }

    def _mask(self, episode: Episode) -> list[int]:
        """1 on what is learned: the model's own tokens, under `latent_only` its latents and closing think tokens.

        Without the closing token a model could not learn when to stop thinking.
        """
        vocabulary = self._readable.vocabulary
        if not self._config.latent_only or vocabulary is None:
            return list(episode.env_mask)
        ids = np.asarray(episode.completion_ids)
        counts = vocabulary.is_latent(ids) | (ids == vocabulary.think_end_id)
        return [int(own and counted) for own, counted in zip(episode.env_mask, counts, strict=True)]


_TRAINERS_OWN: dict[str, Any] = {"logprobs": None}  # the trainer's, under the same policy
_KEYS = ("prompt_ids", "completion_ids", "env_mask", "reward", "advantages", "kept")


def turn_advantages(group: Sequence[Episode], config: AgentConfig, step: int) -> list[list[float]]:
    """The advantage of every turn of every member of a group, by the estimator of `config`."""
    rewards = [[turn.reward for turn in episode.turns] for episode in group]
    if config.estimator is Estimator.TURN_LEVEL:
        return [list(map(float, worth)) for worth in advantages.turn_level(rewards, gamma=config.gamma)]
    if config.estimator is Estimator.GIGPO:
        states = [[turn.state for turn in episode.turns] for episode in group]
        return [list(map(float, worth)) for worth in advantages.gigpo(rewards, states, gamma=config.gamma)]
    returns = np.array([episode.total for episode in group])
    if config.placebo:
        returns = permuted(returns, config.seed, f"{step}/{group[0].seed}")
    worth = _WHOLE[config.estimator](returns)
    return [[float(one)] * len(episode.turns) for one, episode in zip(worth, group, strict=True)]


def _nothing(model: ReadableModel) -> dict[str, Any]:
    """A row in place of an episode of a group that was aborted: it is masked, and never trains."""
    end = model.family.end_of_turn_id
    return {"prompt_ids": [end], "completion_ids": [end], "env_mask": [0], "reward": 0.0, "advantages": [0.0]}
