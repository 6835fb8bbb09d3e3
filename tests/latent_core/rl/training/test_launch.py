"""Agents trained by processes that are launched: what comes of it, and clear words when one of them ends."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from latent_core.config.agents import AgentConfig
from latent_core.config.grpo import GrpoConfig
from latent_core.errors import InfrastructureError, InputError, StageFailed
from latent_core.models.family import open_family
from latent_core.rl.training import launch
from latent_core.rl.training.agent import reinforce_agent
from latent_core.rl.training.grpo import reinforce
from latent_core.rl.training.loop import PolicyResult
from latent_core.sft.rank import Progress
from tests.support.training_runs import largest_difference

SETTINGS: dict[str, Any] = {
    "instances_per_step": 2, "steps": 3, "learning_rate": 1e-2, "micro_batch_size": 4, "save_every": 1,
    "rollout": {"samples": 4, "max_new_tokens": 32, "max_episode_tokens": 400}, "keep_signal": 1.0, "processes": 2,
    "diagnose_every": 2,
}  # fmt: skip
# An environment of a package of its own, as it reaches processes that are started afresh. MISHAP is what happens to the
# second process in the third step: it has played 4 episodes in each step before.
TOY = """
import os, signal
from latent_core.rl.environments import EnvironmentFailed, EnvironmentSpec

RESETS = 0

class Toy:
    def reset(self, seed):
        global RESETS
        RESETS += 1
        self.turn = 0
        if RESETS > 8 and os.environ.get("RANK") == "1":
            if os.environ.get("MISHAP") == "death":
                os.kill(os.getpid(), signal.SIGKILL)
            if os.environ.get("MISHAP") == "error":
                raise ValueError("broken on purpose")
            if os.environ.get("MISHAP") == "lost":
                raise EnvironmentFailed("the server does not answer")
        return f"Write about {seed % 7}.", {}

    def step(self, action):
        self.turn += 1
        return "More.", action.count("e") / max(1, len(action)), self.turn == 2, False, {}

SPEC = EnvironmentSpec("toy", 1, "Write.", 2, Toy, takes_text=True, lowest=0.0)
"""


@pytest.fixture(scope="module")
def start_dir(mini_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model that ends a turn after a few words, whatever they are."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    folder = Path(shutil.copytree(mini_dir, tmp_path_factory.mktemp("start") / "model"))
    _, family = open_family(mini_dir)
    vocabulary = json.loads((mini_dir / "config.json").read_text())["vocab_size"]
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=vocabulary, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, max_position_embeddings=512, tie_word_embeddings=False,
    )  # fmt: skip
    model = Qwen3ForCausalLM(config)
    with torch.no_grad():  # every state has a large first part, which the end of the turn looks at
        model.model.embed_tokens.weight[:, 0] = 1.0
        model.lm_head.weight[family.end_of_turn_id, 0] = torch.log(torch.tensor(vocabulary / 6.0)) / 4.0
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package"
    (package / "toy-1.0.dist-info").mkdir(parents=True)
    (package / "toy_environment.py").write_text(TOY)
    (package / "toy-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (package / "toy-1.0.dist-info/entry_points.txt").write_text("[latent.environments]\ntoy = toy_environment:SPEC\n")
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.setenv("PYTHONPATH", str(package), prepend=":")


def _train(start: Path, root: Path, progress: Progress | None = None, **settings: Any) -> PolicyResult:
    config = AgentConfig.model_validate(SETTINGS | settings)
    return reinforce_agent(
        start, "toy", config, out_dir=root / "out", checkpoint_dir=root / "checkpoints", progress=progress
    )


@pytest.mark.slow
@pytest.mark.usefixtures("toy")
def test_launched_processes_train_the_weights_of_one_and_go_on_where_one_was_killed(
    start_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []
    whole = _train(start_dir, tmp_path / "whole", lambda *done: told.append(done))
    assert told[-1] == (3, 3) and [entry["step"] for entry in whole.curve] == [1, 2, 3, 3]
    rows = list(whole.rollouts)
    assert any(row["taught"] for row in rows)
    alone = _train(start_dir, tmp_path / "alone", processes=1)
    assert list(alone.rollouts) == rows
    assert list(whole.diagnosis) == list(alone.diagnosis) == [0, 1, 2]
    assert whole.diagnosis[2] == pytest.approx(alone.diagnosis[2], rel=1e-3, abs=1e-3)
    assert largest_difference(tmp_path / "whole/out/model", tmp_path / "alone/out/model") <= 1e-5

    monkeypatch.setenv("MISHAP", "death")
    with pytest.raises(InfrastructureError, match=r"agent: a training process died \(number 1 by signal 9\)\. Last li"):
        _train(start_dir, tmp_path / "killed")
    assert not psutil.Process().children(recursive=True)
    monkeypatch.delenv("MISHAP")
    resumed = _train(start_dir, tmp_path / "killed")
    assert resumed.resumed_from_step >= 1 and list(resumed.rollouts) == rows
    assert largest_difference(tmp_path / "whole/out/model", tmp_path / "killed/out/model") == 0


@pytest.mark.slow
@pytest.mark.usefixtures("toy")
def test_error_in_a_process_is_told_once_with_its_words(
    start_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MISHAP", "error")
    with pytest.raises(StageFailed, match=r"agent: ValueError: broken on purpose\. Last lines of .*log"):
        _train(start_dir, tmp_path / "broken")
    assert not psutil.Process().children(recursive=True)
    monkeypatch.setenv("MISHAP", "lost")  # its kind arrives too: this one is worth another try
    with pytest.raises(InfrastructureError, match=r"^the server does not answer$"):
        _train(start_dir, tmp_path / "lost")


def test_more_processes_than_devices_are_refused_before_anything_starts(
    mini_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "visible_gpus", lambda: ["0"])
    with pytest.raises(InputError, match=r"grpo\.processes: 2 processes need as many devices, 1 are there"):
        reinforce(
            mini_dir,
            [],
            GrpoConfig(processes=2),
            benchmark="word_problems",
            out_dir=tmp_path / "out",
            checkpoint_dir=tmp_path / "checkpoints",
        )
    assert not list(tmp_path.iterdir())
