"""Rollouts: completions of the model in training, sampled and graded by the same code as collection's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latent_core.benchmarks.problem import Problem
from latent_core.config.grpo import GrpoConfig
from latent_core.config.sampling import SamplingConfig
from latent_core.generate.completions import graded_completions
from latent_core.generate.transformers_engine import TransformersEngine
from latent_core.models.readable import ReadableModel
from latent_core.rl.judges import Rewards, Row
from latent_core.rl.rewards import kept_groups, levelled
from latent_core.store.columns import rows_of_batch, table_of_rows

if TYPE_CHECKING:
    import pyarrow as pa

_FILE = "step-{:06d}.parquet"
_SEEDS_APART = 1_000_000  # more than there are steps, so that two runs' seeds share none


def rollout_schema() -> pa.Schema:
    """Columns of a rollout: `step` counts from 0, `taught` is false where the filter left the group out."""
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
        ]
    )


class Rollouts:
    """TRL's `rollout_func` over problems that prompts name by their number.

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
    ) -> None:
        self._problems = problems
        self._model_dir = model_dir
        self._readable = ReadableModel.load(model_dir)
        self._config = config
        self._rewards = rewards
        self._folder = folder
        self._benchmark = benchmark
        self._engine: TransformersEngine | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, prompts: Sequence[str], trainer: Any) -> dict[str, list[Any]]:
        """Ids as sampled, and the rewards; a group that teaches nothing gets its own mean, so no advantage."""
        rows = self.draw([int(prompt) for prompt in prompts[:: self._config.rollout.samples]], trainer)
        return {
            "prompt_ids": [list(row["prompt_token_ids"]) for row in rows],
            "completion_ids": [list(row["output_token_ids"]) for row in rows],
            "logprobs": None,  # type: ignore[dict-item]  # the trainer's own, under the same policy
            "reward": levelled(
                [row["reward"] for row in rows], [row["taught"] for row in rows], self._config.rollout.samples
            ),
        }

    def draw(self, numbers: Sequence[int], trainer: Any) -> list[Row]:
        """Graded, rewarded rows of the problems with these numbers, in order; they are written to the step's file."""
        step, samples = int(trainer.state.global_step), self._config.rollout.samples
        model = trainer.accelerator.unwrap_model(trainer.model)
        if self._engine is None or self._engine.model is not model:
            self._engine = TransformersEngine.around(model, self._model_dir)
        with _generating(model), trainer.accelerator.autocast():
            rows = self._graded(numbers, step, self._engine)
        rewards = self._rewards(rows)
        groups = [rewards[start : start + samples] for start in range(0, len(rows), samples)]
        kept = kept_groups(groups, self._config.keep_signal)
        for place, (row, reward) in enumerate(zip(rows, rewards, strict=True)):
            row |= {"step": step, "reward": reward, "taught": kept[place // samples]}
        self._write(step, rows)
        return rows

    def let_go(self) -> None:
        """Hold the trained model, and a judge's copy, no longer; only `rows` may follow."""
        self._engine = None
        del self._rewards

    def rows(self, steps: int) -> Iterator[Row]:
        """All rows of the first `steps` optimizer steps, in order."""
        import pyarrow.parquet as pq

        for step in range(0, steps, self._config.iterations):
            for batch in pq.ParquetFile(self._folder / _FILE.format(step)).iter_batches():
                yield from rows_of_batch(batch)

    def _graded(self, numbers: Sequence[int], step: int, engine: TransformersEngine) -> list[Row]:
        """Rows of these problems, each at its own ratio."""
        ratios = self._config.ratios
        of_number: dict[int, list[Row]] = {number: [] for number in numbers}
        for place, ratio in enumerate(ratios):
            chosen = [number for number in numbers if number % len(ratios) == place]
            rows = graded_completions(
                [self._problems[number] for number in chosen],
                self._readable,
                engine,
                self._sampling(step),
                benchmark=self._benchmark,
                ratio=ratio,
            )
            for index, row in enumerate(rows):
                of_number[chosen[index // self._config.rollout.samples]].append(row | {"ratio": ratio})
        return [row for number in numbers for row in of_number[number]]

    def _sampling(self, step: int) -> SamplingConfig:
        """A question that comes again in a later step draws other completions."""
        rollout = self._config.rollout
        return SamplingConfig(
            temperature=rollout.temperature,
            samples=rollout.samples,
            max_new_tokens=rollout.max_new_tokens,
            batch_tokens=rollout.batch_tokens,
            seed=self._config.seed * _SEEDS_APART + step,
        )

    def _write(self, step: int, rows: Sequence[Row]) -> None:
        """A file is there as a whole or not at all."""
        import pyarrow.parquet as pq

        schema = rollout_schema()
        table = table_of_rows([{name: row[name] for name in schema.names} for row in rows], schema)
        partial = self._folder / "partial"
        pq.write_table(table, partial)
        partial.replace(self._folder / _FILE.format(step))


@contextmanager
def _generating(model: Any) -> Iterator[None]:
    """Dropout off, and back to what it was."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
