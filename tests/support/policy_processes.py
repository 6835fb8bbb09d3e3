"""A policy trained by one process or by two that share every step, with rewards that short outputs differ in.

python policy_processes.py FOLDER RANK runs one of the two, and needs the other one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from latent_core.benchmarks.registry import open_split
from latent_core.config.agents import AgentConfig
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.grpo import GrpoConfig
from latent_core.rl.environments import EnvironmentFailed, EnvironmentSpec
from latent_core.rl.play.episodes import Player
from latent_core.rl.policy.processes import Processes
from latent_core.rl.rollouts import agent_rollouts
from latent_core.rl.rollouts.files import RolloutFiles
from latent_core.rl.rollouts.judges import Rewards
from latent_core.rl.training import agent, grpo
from latent_core.rl.training.agent import reinforce_agent
from latent_core.rl.training.grpo import reinforce
from latent_core.rl.training.loop import PolicyResult

COUNT = 2
SHARED: dict[str, Any] = {
    "steps": 3, "learning_rate": 1e-2, "micro_batch_size": 2, "save_every": 2, "keep_signal": 0.6, "processes": COUNT,
}  # fmt: skip
GRPO = SHARED | {
    "questions": 6, "questions_per_step": 4, "rollout": {"samples": 4, "max_new_tokens": 8, "temperature": 1.5},
}  # fmt: skip
AGENT = SHARED | {
    "instances_per_step": 4,
    "rollout": {"samples": 4, "max_new_tokens": 6, "temperature": 1.5, "max_episode_tokens": 400},
}  # fmt: skip
PPO = AGENT | {"estimator": "ppo", "keep_signal": 0.9, "value": {"warmup_steps": 1}}
LENGTH = {"reward": "lcpo_exact", "alpha": 0.5, "tolerance": 0.05, "rate": 0.4}
RUNS: dict[str, dict[str, Any]] = {
    "dr_grpo": GRPO | {"advantage": "dr_grpo"},
    "dapo": GRPO | {"advantage": "dapo", "method": "full", "learning_rate": 1e-3},
    "grpo again": GRPO | {"advantage": "grpo", "iterations": 2, "steps": 4, "kl": 0.05, "diagnose_every": 2},
    "length placebo": GRPO | {"length": LENGTH, "ratios": [1.0, 0.5], "placebo": True},
    "agent": AGENT | {"estimator": "dapo", "diagnose_every": 2},
    "ppo": PPO | {"diagnose_every": 2, "value": {"warmup_steps": 1, "learning_rate": 1e-2}},
    "ppo of one": PPO | {"instances_per_step": 16, "rollout": AGENT["rollout"] | {"samples": 1}},
}


def _share_of_e(text: str) -> float:
    return text.count("e") / max(1, len(text))


def _judge(config: GrpoConfig, model_dir: Path) -> Rewards:
    """Some are correct, where a length term counts; the first question's group has no signal."""

    def rewards(rows: Sequence[Any]) -> list[float]:
        for row in rows:
            row["verdict"] = "correct" if row["sample_index"] % 2 else "wrong"
        return [
            0.97
            if row["question_id"].endswith("_0")
            else _share_of_e(row["completion"]) + (row["verdict"] == "correct")
            for row in rows
        ]

    return rewards


class _Lengthy:
    """Two turns, each worth its share of the letter e; some instances fail."""

    def reset(self, seed: int) -> tuple[str, dict[str, Any]]:
        self.turn = 0
        if seed % 5 == 4:
            raise EnvironmentFailed("gone")
        return f"Write about {seed % 7}.", {"state": 0}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.turn += 1
        return "More.", _share_of_e(action), self.turn == 2, False, {"state": self.turn}


SPEC = EnvironmentSpec("lengthy", 1, "Write.", 2, _Lengthy, takes_text=True, lowest=0.0)


@contextmanager
def rewarded() -> Iterator[None]:
    """With the judge and the environment of this module, and cut turns as actions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grpo, "judge", _judge)
        patch.setattr(agent, "find_environment", lambda name: SPEC)
        patch.setattr(
            agent_rollouts, "instances_of", lambda seed, draw, count, below: [3 * draw + n for n in range(count)]
        )
        patch.setattr(Player, "_actions", lambda self, output: (self.model.decode(output.token_ids),))
        yield


def train(name: str, model_dir: Path, root: Path, **settings: Any) -> PolicyResult:
    """One of `RUNS` into a folder of its name."""
    folders: dict[str, Any]
    wanted, folders = RUNS[name] | settings, {"out_dir": root / name / "out", "checkpoint_dir": root / name / "steps"}
    with rewarded():
        if "instances_per_step" in wanted:
            return reinforce_agent(model_dir, "lengthy", AgentConfig.model_validate(wanted), **folders)
        problems = open_split(BenchmarkConfig(difficulties=(1,)), "train").problems(0, wanted["questions"])
        references = {problem.question_id: 6.0 + number for number, problem in enumerate(problems)}
        config = GrpoConfig.model_validate(wanted)
        return reinforce(model_dir, problems, config, benchmark="word_problems", references=references, **folders)


def run_pair(folder: Path, model_dir: Path) -> None:
    """Train all of `RUNS`, into the folder, in two processes. Raises CalledProcessError where one fails."""
    folder.mkdir()
    (folder / "model").symlink_to(model_dir)
    commands = [[sys.executable, __file__, str(folder), str(rank)] for rank in range(COUNT)]
    started = [subprocess.Popen(command) for command in commands]
    codes = [process.wait() for process in started]
    for command, code in zip(commands, codes, strict=True):
        if code:
            raise subprocess.CalledProcessError(code, command)


def meet(folder: Path, name: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / name}.meeting", rank=int(os.environ["RANK"]), world_size=COUNT,
        timeout=timedelta(minutes=30),
    )  # fmt: skip


def basics(folder: Path) -> dict[str, Any]:
    """What the methods of `Processes` give this process."""
    place = Processes.here()
    kept = place.kept([[0.0, 0.1], None] if place.rank == 0 else [[0.0, 4.0], [0.0, 3.0]], 0.9)
    files = RolloutFiles(folder / "files", pa.schema([("number", pa.int64())]))
    files.write_everyones(7, [{"number": number, "more": "left out"} for number in place.share(range(6))])
    learned, untouched, other = (torch.nn.Parameter(torch.zeros(2)) for _ in range(3))
    learned.grad = torch.tensor([1.0, 2.0]) * (place.rank + 1)
    if place.rank == 1:
        other.grad = torch.tensor([4.0, 6.0])
    place.average_gradients([learned, untouched, other])
    return {
        "kept": kept,
        "everyones": place.everyones([place.rank]),
        "file": [row["number"] for row in files.rows([7])],
        "gradients": [None if one.grad is None else one.grad.tolist() for one in (learned, untouched, other)],
    }


if __name__ == "__main__":
    root, number = Path(sys.argv[1]), sys.argv[2]
    os.environ.update(RANK=number, LOCAL_RANK=number, WORLD_SIZE=str(COUNT), LOCAL_WORLD_SIZE=str(COUNT))
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    meet(root, "basics")
    found = basics(root)
    (root / f"basics-{number}.json").write_text(json.dumps(found))
    Processes.here().part()
    for run in RUNS:
        meet(root, run)
        result = train(run, root / "model", root)
        (root / f"{run}-{number}.json").write_text(json.dumps([result.curve, list(result.diagnosis.items())]))
