"""What the playground calls the models of a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.cli import model_names
from flows.cli.model_names import names_in
from latent_core.config.runtime import TrackingConfig
from latent_core.errors import InfrastructureError
from latent_core.store import ArtifactRef, ArtifactStore
from latent_core.ui.catalog import KnownName
from tasks.tracking.journal import Journal, JournalModel, Promotion
from tasks.tracking.mlflow import open_client
from tasks.tracking.models import register, set_champion
from tests.support.graded import report_in

MODELS = {letter: ArtifactRef("train", letter * 64) for letter in "abc"}


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    """Three models: a report's, and two that a run registered, of which the first was made champion."""
    store = ArtifactStore(tmp_path / "store")
    report_in(store, "A run", {"train/dual": MODELS["a"], "train/standard": MODELS["b"]})
    models = [
        JournalModel("toy", variant, "train", letter * 64) for letter, variant in (("b", "standard"), ("c", "dual"))
    ]
    Journal("run", "toy", "", {}, 1.0, models=models).write(store)
    Promotion("toy", "train", "b" * 64, 2.0).write(store)
    return store


def test_runs_names_go_before_reports_and_the_stores_champion_is_known(store):
    assert names_in(store) == {
        "a" * 64: KnownName("dual of A run"),
        "b" * 64: KnownName("toy, standard, champion", is_champion=True),
        "c" * 64: KnownName("toy, dual"),
    }


def test_newest_report_names_a_model_that_several_have(store):
    report_in(store, "Later", {"train/mine": MODELS["a"], "grpo/policy": ArtifactRef("grpo", "d" * 64)}, 9.0)
    report_in(store, "Between", {"train/other": MODELS["a"]}, 5.0)
    found = names_in(store)
    assert (found["a" * 64], found["d" * 64]) == (KnownName("mine of Later"), KnownName("policy of Later"))


def test_registrys_names_and_champion_go_before_the_stores(store, tmp_path):
    tracking = TrackingConfig(uri=f"sqlite:///{tmp_path}/mlflow.db")
    client, _ = open_client(tracking)
    for letter, variant in (("b", "standard"), ("c", "dual")):
        register(client, "toy", MODELS[letter], store, variant)
    set_champion(tracking, "toy", "2")
    client.create_registered_model("another-project")
    client.create_model_version("another-project", str(tmp_path))
    found = names_in(store, tracking)
    assert found["b" * 64] == KnownName("toy 1, standard")
    assert found["c" * 64] == KnownName("toy 2, dual, champion", is_champion=True)
    assert set(found) == {letter * 64 for letter in "abc"}


def test_registry_that_does_not_answer_costs_its_names_and_one_warning(store, monkeypatch, caplog):
    def silent(_: TrackingConfig) -> list[str]:
        raise InfrastructureError("tracking: no answer")

    monkeypatch.setattr(model_names, "registered_names", silent)
    assert names_in(store, TrackingConfig()) == names_in(store)
    assert "no answer" in caplog.text
