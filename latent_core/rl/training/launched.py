"""What `launch` starts: a launcher, which starts the processes that train a policy, and the processes themselves.

`python -m latent_core.rl.training.launched FOLDER PROCESSES` launches; without PROCESSES it is one of them. The folder
is that of `latent_core.sft.launched`.
"""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from latent_core.benchmarks.problem import Problem
from latent_core.config.agents import AgentConfig
from latent_core.config.grpo import GrpoConfig
from latent_core.rl.training.agent import reinforce_agent
from latent_core.rl.training.grpo import reinforce
from latent_core.rl.training.loop import PolicyResult
from latent_core.sft.launched import supervise, take_part
from latent_core.sft.rank import Progress


def compute(described: dict[str, Any], report: Progress | None) -> dict[str, Any]:
    """Train as `job.json` describes, as one of the processes."""
    model_dir = Path(described["model_dir"])
    folders = {name: Path(described[name]) for name in ("out_dir", "checkpoint_dir")}
    if described["stage"] == "agent":
        config = AgentConfig.model_validate(described["config"])
        return _measured(reinforce_agent(model_dir, described["environment"], config, **folders, progress=report))
    return _measured(
        reinforce(
            model_dir,
            [Problem(**problem) for problem in described["problems"]],
            GrpoConfig.model_validate(described["config"]),
            benchmark=described["benchmark"],
            references=described["references"],
            **folders,
            progress=report,
        )
    )


def _measured(result: PolicyResult) -> dict[str, Any]:
    return {field.name: getattr(result, field.name) for field in fields(result) if field.name != "rollouts"}


if __name__ == "__main__":
    if len(sys.argv) == 3:
        sys.exit(supervise(Path(sys.argv[1]), int(sys.argv[2]), "latent_core.rl.training.launched"))
    take_part(Path(sys.argv[1]), compute)
