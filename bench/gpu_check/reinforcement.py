"""Reinforcement learning by the real trainers: two steps on word problems, two in an environment, two of PPO."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.gpu_check.findings import Findings
from bench.gpu_check.place import BENCHMARK, Place, dual_folder, forget_peak, in_gb, peak_gb, problems_of, settle

STEPS = 2
KL_TOLERANCE = 0.05  # nats a token, sampler to trainer: both are the model in training
ENVIRONMENT = "bandit"


def check(place: Place, findings: Findings) -> None:
    """Seconds a step (the second, which loads nothing), peak memory, and how far sampler and trainer are apart."""
    from latent_core.config.agents import AgentConfig
    from latent_core.config.grpo import GrpoConfig
    from latent_core.rl.play.episodes import Player
    from latent_core.rl.training.agent import reinforce_agent
    from latent_core.rl.training.grpo import reinforce

    folder = dual_folder(place)
    common = {"steps": STEPS, "micro_batch_size": place.sized(8, 2), "diagnose_every": 1}
    rollout = {"samples": place.sized(8, 2), "max_new_tokens": place.sized(256, 128), "engine": "transformers"}
    grpo = GrpoConfig.model_validate(
        {
            **common,
            "questions": 8,
            "questions_per_step": place.sized(4, 2),
            "rollout": rollout,
            "reward": {"judge": "logprob"},  # differs between the members of a group, so that they teach
        }
    )
    _measured(
        place,
        findings,
        f"grpo, {grpo.completions_per_step} rollouts a step",
        "grpo",
        lambda **options: reinforce(folder, problems_of(8), grpo, benchmark=BENCHMARK, **options),
    )
    Player._actions = _acts  # type: ignore[method-assign]  # this process does nothing else
    for estimator in ("dr_grpo", "ppo"):
        agent = AgentConfig.model_validate(
            {
                **common,
                "estimator": estimator,
                "instances_per_step": place.sized(4, 2),
                "rollout": {**rollout, "max_new_tokens": place.sized(64, 8), "max_episode_tokens": 1024},
                "rules": {"max_turns": 2},
            }
        )
        _measured(
            place,
            findings,
            f"{estimator} in {ENVIRONMENT}, {agent.episodes_per_step} episodes a step",
            estimator,
            lambda agent=agent, **options: reinforce_agent(folder, ENVIRONMENT, agent, **options),
        )


def _acts(player: Any, output: Any) -> tuple[str, ...]:
    """What latent-mini writes stands for two pulls whatever it says, since it has not learned to play.

    So episodes go on and returns differ, which gives the training something to learn from.
    """
    from latent_core.rl.environments.bandit import NAMES

    first = sum(output.token_ids)
    return NAMES[first % len(NAMES)], NAMES[(first // 7) % len(NAMES)]


def _measured(place: Place, findings: Findings, what: str, name: str, training: Callable[..., Any]) -> None:
    ends = [time.perf_counter()]

    def progress(done: int, total: int) -> None:
        settle(place)
        ends.append(time.perf_counter())

    forget_peak(place)
    folder = place.folder / "reinforced" / name
    result = training(out_dir=_made(folder / "out"), checkpoint_dir=_made(folder / "checkpoints"), progress=progress)
    rollouts = list(result.rollouts)
    apart = [one for step in result.diagnosis.values() if (one := step.get("sampler_kl")) is not None]
    seconds = ends[-1] - ends[-2]
    findings.expect(
        len(ends) == STEPS + 1 and bool(apart or place.tiny) and all(abs(one) <= KL_TOLERANCE for one in apart), what,
        f"{seconds:.2f} s a step, {in_gb(peak_gb(place))}, {len(rollouts)} rollouts; sampler to trainer "
        + (f"{max(apart):.1e} nats a token" if apart else "not compared, since no group taught"),
        seconds=seconds, peak=peak_gb(place), rollouts=len(rollouts), sampler_kl=apart,
        diagnosis={str(step): found for step, found in result.diagnosis.items()}, curve=result.curve,
    )  # fmt: skip


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
