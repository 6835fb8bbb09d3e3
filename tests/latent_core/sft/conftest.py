"""A tokenizer and models so small that a test can train them."""

from __future__ import annotations

from pathlib import Path

import pytest

from latent_core.dual import build_dual
from latent_core.models.mini import MiniShape, train_tokenizer, write_initial_model
from latent_core.models.readable import ReadableModel
from latent_core.sft.mini_corpus import Recipe, tokenizer_texts
from tests.latent_core.dual.conftest import make_base as make_base

TINY = MiniShape(layers=1, hidden=64, intermediate=64, heads=1, key_value_heads=1, context=512)


@pytest.fixture(scope="session")
def plain_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("plain")
    write_initial_model(directory, train_tokenizer(tokenizer_texts(Recipe(1, (1, 2)), 200), 600), TINY, seed=0)
    return directory


@pytest.fixture(scope="session")
def dual_dir(plain_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dual")
    build_dual(plain_dir, directory)
    return directory


@pytest.fixture(scope="session")
def plain(plain_dir: Path) -> ReadableModel:
    return ReadableModel.load(plain_dir)


@pytest.fixture(scope="session")
def dual(dual_dir: Path) -> ReadableModel:
    return ReadableModel.load(dual_dir)
