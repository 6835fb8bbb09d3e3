"""Rollouts of agents: episodes of the model in training, and what each of their tokens is worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from latent_core.config.agents import HELD_OUT, AgentConfig, Estimator
from latent_core.errors import InputError
from latent_core.generate.vllm_engine import context_of
from latent_core.models.readable import ReadableModel
from latent_core.rl import advantages
from latent_core.rl.draws import instances_of
from latent_core.rl.environments import EnvironmentFailed, EnvironmentSpec
from latent_core.rl.lengths import permuted
from latent_core.rl.play.dialogue import Dialogue
from latent_core.rl.play.episodes import Episode, Played, Player, instruction_of
from latent_core.rl.play.turn_table import turn_rows, turn_schema
from latent_core.rl.policy.engine import policy_engine
from latent_core.rl.policy.processes import Processes
from latent_core.rl.policy.value_head import hidden_width
from latent_core.rl.rollouts.diagnosis import Diagnosis
from latent_core.rl.rollouts.files import RolloutFiles
from latent_core.rl.rollouts.ppo import Ppo
from latent_core.rl.rollouts.prompt_dependence import Group
from latent_core.rl.rollouts.worth import Worth

if TYPE_CHECKING:
    import pyarrow as pa

_SEEDS_APART = 1_000_000  # more than there are steps, so that two runs' seeds share none
_WHOLE = {
    Estimator.DR_GRPO: advantages.dr_grpo,
    Estimator.GRPO: advantages.grpo,
    Estimator.DAPO: advantages.grpo,
    Estimator.RLOO: advantages.rloo,
}


def agent_schema(*, values: bool = False) -> pa.Schema:
    """Columns of a turn in training: `step` counts from 0, `taught` is false where the policy learned nothing from it.

    With `values`, for ppo, also the head's `value` of the turn's beginning; `advantage` is then the mean over the
    turn's tokens.
    """
    import pyarrow as pa

    schema = pa.schema([("step", pa.int32()), *turn_schema()])
    schema = schema.append(pa.field("advantage", pa.float64())).append(pa.field("taught", pa.bool_()))
    return schema.append(pa.field("value", pa.float64())) if values else schema


class AgentRollouts:
    """TRL's `rollout_func` over an environment; instances and seeds follow from the seed and the step alone.

    Of several processes each plays and trains its share of the instances.
    """

    def __init__(self, spec: EnvironmentSpec, model_dir: Path, config: AgentConfig, folder: Path) -> None:
        """Raises InputError for an engine that is not installed, and for `latent_only` of a model that is not dual."""
        self._spec = spec
        self._config = config
        self._readable = ReadableModel.load(model_dir)
        if config.latent_only and self._readable.vocabulary is None:
            raise InputError("agent.latent_only: needs a dual model, this one has no latent tokens; leave it false")
        self.ppo: Ppo | None = None
        """The value head and what it says, with the estimator ppo alone."""
        if config.estimator is Estimator.PPO:
            self.ppo = Ppo(config, hidden_width(model_dir))
        self._files = RolloutFiles(folder, agent_schema(values=self.ppo is not None))
        self._diagnosis = None if config.diagnose_every is None else Diagnosis(config, self._readable.family)
        rollout = config.rollout
        self._longest = min(rollout.max_episode_tokens, context_of(model_dir))
        self._policy = policy_engine(config, rollout, model_dir, longest=self._longest + rollout.max_new_tokens)
        self._keeps_logprobs = rollout.is_corrected or self._diagnosis is not None
        self.aborted = 0
        """Groups whose environment failed, in this process."""

    def __call__(self, prompts: Sequence[str], trainer: Any) -> dict[str, list[Any]]:
        """Ids as sampled, returns (which TRL logs), masks, and what `PolicyTrainer` learns from.

        Raises EnvironmentFailed where the environment answered for no group of the step, and InputError where all
        prompts fill an episode.
        """
        config, step, processes = self._config, int(trainer.state.global_step), Processes.here()
        samples = config.rollout.samples
        per_step = len(prompts) * processes.count // samples
        seeds = processes.share(instances_of(config.seed, step // config.iterations, per_step, HELD_OUT))
        groups, failure = self._play(seeds, step, trainer)
        whole = [group for group in groups if group is not None]
        self.aborted += len(groups) - len(whole)
        self._check(processes.everyones(map(_room, whole)), failure, step)
        judged = iter(self._judged(whole, step, trainer))
        keys = (*_KEYS, "sampler_logprobs") if self._keeps_logprobs else _KEYS
        batch: dict[str, list[Any]] = {name: [] for name in keys}
        rows: list[dict[str, Any]] = []
        for group, kept in zip(groups, self._taught(groups, step), strict=True):
            worth = [] if group is None else next(judged)
            for place in range(samples):
                entry = _nothing(self._readable) if group is None else self._entry(group[place], worth[place].tokens)
                for name, value in (entry | {"kept": kept}).items():
                    batch[name].append(value)
                if self._keeps_logprobs:
                    batch["sampler_logprobs"].append([0.0] if group is None else _logprobs(group[place]))
                if group is not None:
                    turns = zip(turn_rows(group[place], self._readable), worth[place].turns, strict=True)
                    rows += [row | {"step": step, "taught": kept} | columns for row, columns in turns]
        self._files.write_everyones(step, rows)
        if self._diagnosis is not None:
            outputs = [turn.output for group in whole for episode in group for turn in episode.turns]
            first = [
                Group(group[0].prompt_ids, [episode.turns[0].output.token_ids for episode in group]) for group in whole
            ]
            self._diagnosis.note(trainer, step, first, [output.logprobs for output in outputs])
        return batch | _TRAINERS_OWN

    def let_go(self) -> None:
        """Hold the trained model no longer; only `rows` may follow."""
        self._policy.close()

    def rows(self, steps: int) -> Iterator[dict[str, Any]]:
        """All turns of the first `steps` optimizer steps, in order."""
        return self._files.rows(range(0, steps, self._config.iterations))

    def _play(self, seeds: Sequence[int], step: int, trainer: Any) -> Played:
        rollout, rules = self._config.rollout, self._config.rules
        sampling = rollout.sampling(self._config.seed * _SEEDS_APART + step, logprobs=self._keeps_logprobs)
        with self._policy.serving(trainer) as engine:
            player = Player(
                self._readable,
                engine,
                sampling,
                self._spec,
                Dialogue(self._readable, instruction_of(self._spec)),
                self._longest,
                format_penalty=rules.format_penalty,
                most_turns=rules.max_turns,
            )
            return player.play(seeds, samples=rollout.samples, step=step)

    def _check(self, rooms: Sequence[_Room], failure: EnvironmentFailed | None, step: int) -> None:
        """Of the groups of all processes: a step that could teach nothing is none of a training that goes well."""
        name = self._spec.name
        if not rooms:
            raise EnvironmentFailed(
                f"environment: {name} failed in all instances of step {step + 1}; when it is mended run again, and "
                f"training goes on from its last checkpoint. The last time: {failure}"
            ) from failure
        if not any(room.wrote for room in rooms):
            raise InputError(
                f"agent.rollout.max_episode_tokens: {self._longest} tokens leave no room for a turn after a prompt of "
                f"{name}, of up to {max(room.prompt for room in rooms)}; raise it, or take a model of a longer context"
            )

    def _taught(self, groups: Sequence[Sequence[Episode] | None], step: int) -> list[bool]:
        """Of each group, whether the policy learns from it. Equal returns teach ppo too: its baseline is the value."""
        if self.ppo is not None:
            return [group is not None and self.ppo.teaches(step) for group in groups]
        returns = [None if group is None else [_return(episode, self._config) for episode in group] for group in groups]
        return Processes.here().kept(returns, self._config.keep_signal)

    def _judged(self, groups: Sequence[Sequence[Episode]], step: int, trainer: Any) -> list[list[Worth]]:
        """Of each member of each group, what it is worth."""
        if self.ppo is not None:
            masks = [self._mask(episode) for group in groups for episode in group]
            model = trainer.accelerator.unwrap_model(trainer.model)
            return self.ppo.judge(groups, masks, model, step, trainer)
        return [
            [worth_of_turns(episode, turns) for episode, turns in zip(group, worth, strict=True)]
            for group in groups
            for worth in [turn_advantages(group, self._config, step)]
        ]

    def _entry(self, episode: Episode, advantages: Sequence[float]) -> dict[str, Any]:
        """What TRL is given of one episode; `advantages` has one for every token of its completion."""
        if not episode.completion_ids:  # its prompt filled the context
            return _nothing(self._readable) | {"reward": episode.total}
        return {
            "prompt_ids": list(episode.prompt_ids),
            "completion_ids": list(episode.completion_ids),
            "env_mask": self._mask(episode),
            "reward": episode.total,
            "advantages": list(advantages),
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


class _Room(NamedTuple):
    """A group's prompt in tokens, and whether any member wrote something after it."""

    prompt: int
    wrote: bool


def _room(group: Sequence[Episode]) -> _Room:
    return _Room(len(group[0].prompt_ids), any(turn.output.token_ids for episode in group for turn in episode.turns))


def worth_of_turns(episode: Episode, advantages: Sequence[float]) -> Worth:
    """Of an episode whose turns have one advantage each; tokens of contexts have 0."""
    tokens: list[float] = []
    for place, turn in enumerate(episode.turns):
        tokens += [0.0] * (len(turn.context) if place else 0) + [float(advantages[place])] * len(turn.output.token_ids)
    return Worth(tokens, [{"advantage": float(one)} for one in advantages])


def turn_advantages(group: Sequence[Episode], config: AgentConfig, step: int) -> list[list[float]]:
    """The advantage of every turn of every member of a group, by the estimator of `config`.

    Raises InputError for gigpo where the environment did not tell the state before a turn.
    """
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


def _return(episode: Episode, config: AgentConfig) -> float:
    """What an episode is worth to the filter of groups: discounted where the estimator discounts."""
    if config.gamma == 1:
        return episode.total
    return float(advantages.returns_to_go([turn.reward for turn in episode.turns], config.gamma)[0])


def _logprobs(episode: Episode) -> list[float]:
    """The sampler's, of all of an episode's `completion_ids`; 0 on contexts."""
    found: list[float] = []
    for place, turn in enumerate(episode.turns):
        found += [0.0] * (len(turn.context) if place else 0) + list(turn.output.logprobs or ())
    return found


def _nothing(model: ReadableModel) -> dict[str, Any]:
    """A row in place of an episode of a group that was aborted: it is masked, and never trains."""
    end = model.family.end_of_turn_id
    return {"prompt_ids": [end], "completion_ids": [end], "env_mask": [0], "reward": 0.0, "advantages": [0.0]}
