"""The packaged model and its dual, which reasons as well: untrained latents are copies of what they mirror."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from latent_core.benchmarks.problem import Problem
from latent_core.benchmarks.registry import open_split
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.dual import build_dual
from latent_core.models.source import open_model
from latent_core.rl.play.episodes import Player


@pytest.fixture(scope="session")
def mini_dir() -> Path:
    return open_model("latent-mini").directory


@pytest.fixture(scope="session")
def dual_dir(mini_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dual")
    build_dual(mini_dir, directory)
    return directory


@pytest.fixture(scope="session")
def problems() -> Sequence[Problem]:
    return open_split(BenchmarkConfig(difficulties=(1,)), "train").problems(0, 4)


@pytest.fixture
def cut_words_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns of a few tokens, which an untrained policy never ends, are actions all the same."""
    monkeypatch.setattr(Player, "_actions", lambda self, output: (self.model.decode(output.token_ids),))
