"""Rollouts: completions of the model in training, sampled and graded by the same code as collection's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latent_core.benchmarks.problem import Problem
from latent_core.config.grpo import Advantage, GrpoConfig
from latent_core.errors import InputError
from latent_core.generate.completions import LOGPROBS, graded_completions
from latent_core.generate.engine import Engine
from latent_core.models.readable import ReadableModel
from latent_core.rl.advantages import dr_grpo, grpo, rloo
from latent_core.rl.draws import questions_of, ratio_of
from latent_core.rl.lengths import permuted
from latent_core.rl.policy.engine import policy_engine
from latent_core.rl.policy.processes import Processes
from latent_core.rl.rollouts.diagnosis import Diagnosis
from latent_core.rl.rollouts.files import RolloutFiles
from latent_core.rl.rollouts.judges import Rewards, Row
from latent_core.rl.rollouts.length_control import LENGTH_TERM, LengthControl, length_columns
from latent_core.rl.rollouts.prompt_dependence import Group

if TYPE_CHECKING:
    import pyarrow as pa

_ESTIMATORS = {Advantage.GRPO: grpo, Advantage.DR_GRPO: dr_grpo, Advantage.DAPO: grpo, Advantage.RLOO: rloo}
_SEEDS_APART = 1_000_000  # more than there are steps, so that two runs' seeds share none


def rollout_schema(*, length: bool = False) -> pa.Schema:
    """Columns of a rollout: `step` counts from 0, `taught` is false where the filter left the group out.

    With `length`, for training with a length term, also those of `length_columns`.
    """
    import pyarrow as pa

    return pa.schema(
        [
            ("step", pa.int32()),
            ("question_id", pa.string()),
            ("sample_index", pa.int32()),
            ("ratio", pa.float64()),
            ("prompt_token_ids", pa.list_(pa.int32())),
            ("output_token_ids", pa.list_(pa.int32())),
            ("completion", pa.string()),
            ("gold", pa.string()),
            ("answer", pa.string()),
            ("verdict", pa.string()),
            ("tokens", pa.int32()),
            ("reasoning_tokens", pa.int32()),
            ("latent_tokens", pa.int32()),
            ("reward", pa.float64()),
            ("taught", pa.bool_()),
            *(length_columns() if length else ()),
        ]
    )


def check_references(config: GrpoConfig, references: Mapping[str, float] | None) -> None:
    """Raises InputError where the length term of `config` has no lengths of the start model."""
    if config.length.is_on and references is None:
        raise InputError(f"references: grpo.length.reward {config.length.reward} needs the start model's lengths")


class Rollouts:
    """TRL's `rollout_func` over problems. It chooses them itself, from the seed and the step: TRL's sampler begins anew
    when a run is resumed, so the prompts that it hands over tell their number alone.

    Of several processes each draws and trains its share of the questions.
    Every step's rows go into a file of their own in `folder` as soon as they are there, so that a run that is resumed
    from a checkpoint writes over those of the steps that it repeats.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        model_dir: Path,
        config: GrpoConfig,
        rewards: Rewards,
        folder: Path,
        *,
        benchmark: str,
        references: Mapping[str, float] | None = None,
    ) -> None:
        """`references`: see `LengthControl`.

        Raises InputError where the length term of `config` has none, and for an engine that is not installed.
        """
        self._problems = problems
        self._readable = ReadableModel.load(model_dir)
        self._config = config
        self._rewards = rewards
        self._length: LengthControl | None = None
        check_references(config, references)
        if config.length.is_on and references is not None:
            samples = config.rollout.samples
            self._length = LengthControl(config.length, references, samples=samples, iterations=config.iterations)
        self._files = RolloutFiles(folder, rollout_schema(length=config.length.is_on))
        self._diagnosis = None if config.diagnose_every is None else Diagnosis(config, self._readable.family)
        self._benchmark = benchmark
        self._policy = policy_engine(config, config.rollout, model_dir, longest=0)
        self._keeps_logprobs = config.rollout.is_corrected or self._diagnosis is not None

    def __call__(self, prompts: Sequence[str], trainer: Any) -> dict[str, list[Any]]:
        """Ids as sampled, the rewards (which TRL logs), and what `PolicyTrainer` learns from.

        That is `advantages`, one for each token of a completion, and `kept`, false where a group teaches nothing.
        """
        processes = Processes.here()
        numbers = questions_of(
            self._config.seed,
            int(trainer.state.global_step) // self._config.iterations,
            questions=len(self._problems),
            per_step=len(prompts) * processes.count // self._config.rollout.samples,
        )
        rows = self.draw(processes.share(numbers), trainer)
        sampled = {}
        if self._keeps_logprobs:
            sampled = {"sampler_logprobs": [list(row[LOGPROBS]) for row in rows]}
        if self._diagnosis is not None:
            self._diagnosis.note(trainer, int(trainer.state.global_step), self._groups(rows), *sampled.values())
        return {
            "prompt_ids": [list(row["prompt_token_ids"]) for row in rows],
            "completion_ids": [list(row["output_token_ids"]) for row in rows],
            "logprobs": None,  # type: ignore[dict-item]  # the trainer's own, under the same policy
            "reward": [row["reward"] for row in rows],
            "advantages": self._advantages(rows, int(trainer.state.global_step)),
            "kept": [row["taught"] for row in rows],
            **sampled,
        }

    def draw(self, numbers: Sequence[int], trainer: Any) -> list[Row]:
        """Graded, rewarded rows of the problems with these numbers, in order; they are written to the step's file.

        The numbers are this process's share, the file holds the rows of all processes.
        """
        step, samples = int(trainer.state.global_step), self._config.rollout.samples
        with self._policy.serving(trainer) as engine:
            rows = self._graded(numbers, step, engine)
        rewards = self._rewards(rows)
        if self._length is not None:
            self._length.add_terms(rows, step, self._files)
            rewards = [reward + row[LENGTH_TERM] for row, reward in zip(rows, rewards, strict=True)]
        groups = [rewards[start : start + samples] for start in range(0, len(rows), samples)]
        kept = Processes.here().kept(groups, self._config.keep_signal)
        for place, (row, reward) in enumerate(zip(rows, rewards, strict=True)):
            row |= {"step": step, "reward": reward, "taught": kept[place // samples]}
        self._files.write_everyones(step, rows)
        return rows

    def _advantages(self, rows: Sequence[Row], step: int) -> list[list[float]]:
        """Of each row's tokens, which all share the advantage of their completion over its group.

        The placebo learns from the group's rewards in a random order; rows keep the reward that is theirs.
        """
        samples, estimate = self._config.rollout.samples, _ESTIMATORS[self._config.advantage]
        advantages: list[float] = []
        for start in range(0, len(rows), samples):
            group = rows[start : start + samples]
            rewards = [row["reward"] for row in group]
            if self._config.placebo:
                rewards = permuted(rewards, self._config.seed, f"{step}/{group[0]['question_id']}").tolist()
            advantages += map(float, estimate(rewards))
        return [[advantage] * len(row["output_token_ids"]) for row, advantage in zip(rows, advantages, strict=True)]

    def _groups(self, rows: Sequence[Row]) -> list[Group]:
        samples = self._config.rollout.samples
        groups = [rows[start : start + samples] for start in range(0, len(rows), samples)]
        return [Group(group[0]["prompt_token_ids"], [row["output_token_ids"] for row in group]) for group in groups]

    def let_go(self) -> None:
        """Hold the trained model, and a judge's copy, no longer; only `rows` may follow."""
        self._policy.close()
        del self._rewards

    def rows(self, steps: int) -> Iterator[Row]:
        """All rows of the first `steps` optimizer steps, in order."""
        return self._files.rows(range(0, steps, self._config.iterations))

    def _graded(self, numbers: Sequence[int], step: int, engine: Engine) -> list[Row]:
        """Rows of these problems, each at the ratio that it has drawn for this step."""
        config = self._config
        # A question that comes again in a later step draws other completions.
        seed = config.seed * _SEEDS_APART + step
        sampling = config.rollout.sampling(seed, config.rollout.samples, logprobs=self._keeps_logprobs)
        drawn = {
            number: ratio_of(config.seed, step, self._problems[number].question_id, config.ratios) for number in numbers
        }
        of_number: dict[int, list[Row]] = {number: [] for number in numbers}
        for ratio in config.ratios:
            chosen = [number for number in numbers if drawn[number] == ratio]
            rows = graded_completions(
                [self._problems[number] for number in chosen],
                self._readable,
                engine,
                sampling,
                benchmark=self._benchmark,
                ratio=ratio,
            )
            for index, row in enumerate(rows):
                of_number[chosen[index // self._config.rollout.samples]].append(row | {"ratio": ratio})
        return [row for number in numbers for row in of_number[number]]
