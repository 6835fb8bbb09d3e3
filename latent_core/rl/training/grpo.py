"""Training on problems: completions of one turn, in this process or in several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from latent_core.benchmarks.problem import Problem
from latent_core.config.grpo import GrpoConfig
from latent_core.rl.rollouts.judges import judge
from latent_core.rl.rollouts.problem_rollouts import Rollouts, check_references, rollout_schema
from latent_core.rl.training.launch import launch, launches
from latent_core.rl.training.loop import ROLLOUTS, PolicyResult, Sizes, launched_result, train_policy
from latent_core.sft.rank import Progress


def reinforce(
    model_dir: Path,
    problems: Sequence[Problem],
    config: GrpoConfig,
    *,
    benchmark: str,
    out_dir: Path,
    checkpoint_dir: Path,
    references: Mapping[str, float] | None = None,
    progress: Progress | None = None,
) -> PolicyResult:
    """Train the model in `model_dir` on `problems`, write the merged model (and the adapter, under LoRA) to `out_dir`.

    A dual model acts and learns under its phase machine. `references`: the start model's mean length by question, which
    a length term needs (see `LengthControl`). Raises InputError for settings that do not fit the model or the machine.
    """
    if launches(config, "grpo"):
        check_references(config, references)
        measured = launch(
            "grpo",
            model_dir,
            config,
            {
                "problems": [asdict(problem) for problem in problems],
                "benchmark": benchmark,
                "references": None if references is None else dict(references),
            },
            out_dir=out_dir,
            checkpoint_dir=checkpoint_dir,
            progress=progress,
        )
        return launched_result(measured, config, checkpoint_dir, rollout_schema(length=config.length.is_on))
    rollouts = Rollouts(
        problems,
        model_dir,
        config,
        judge(config, model_dir),
        checkpoint_dir / ROLLOUTS,
        benchmark=benchmark,
        references=references,
    )
    return train_policy(
        model_dir,
        config,
        rollouts,
        Sizes(config.completions_per_step, config.rollout.samples, config.rollout.max_new_tokens),
        loss=config.advantage.loss,
        temperature=config.rollout.temperature,
        importance_cap=config.rollout.correction_cap,
        out_dir=out_dir,
        checkpoint_dir=checkpoint_dir,
        progress=progress,
    )
