"""The catalog: what the store trained comes first, models load once, and a missing dual is built once."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from latent_core.dual import DualVocabulary, build_dual
from latent_core.errors import InputError
from latent_core.models.source import open_model
from latent_core.store import ArtifactRef, ArtifactStore, begin
from latent_core.ui.catalog import Kind, KnownName, ModelCatalog, Offer, base_offers, stored_offers


@pytest.fixture
def mini(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("LATENT_CACHE", str(tmp_path / "cache"))
    return open_model("latent-mini").directory


def _stored(store: ArtifactStore, stage: str, fingerprint: str, model: Path, started: float) -> None:
    with begin(store, ArtifactRef(stage, fingerprint)) as out:
        with out.directory("weights") as directory:
            shutil.copytree(model, directory / "model")
        out.commit(record={"started": started})


def test_stored_models_are_offered_by_kind_the_newest_first(mini, tmp_path):
    build_dual(mini, tmp_path / "dual")
    store = ArtifactStore(tmp_path / "store")
    _stored(store, "train", "a" * 64, mini, 100.0)
    _stored(store, "train", "b" * 64, mini, 200.0)
    _stored(store, "train", "c" * 64, tmp_path / "dual", 150.0)
    catalog = ModelCatalog(lambda: [*stored_offers(store, ("train",)), *base_offers("latent-mini", mini)])
    standard, dual = catalog.names(Kind.STANDARD), catalog.names(Kind.DUAL)
    assert [name.rpartition(" ")[2] for name in standard] == ["(train/bbbbbbbb)", "(train/aaaaaaaa)", "latent-mini"]
    assert [name.rpartition(" ")[2] for name in dual] == ["(train/cccccccc)", "latent-mini"]
    assert re.fullmatch(r"dual of [\d-]{10} \d\d:\d\d \(train/c{8}\)", dual[0])
    assert catalog.player(dual[0]).model.vocabulary is not None
    store.local_path(
        next(path for path, _ in store.files() if "b" * 64 in path and path.endswith("config.json"))
    ).unlink()
    assert catalog.names(Kind.STANDARD) == standard[1:]


def test_stored_models_have_the_names_that_people_gave_them_and_a_champion_is_first(mini, tmp_path):
    store = ArtifactStore(tmp_path / "store")
    for started, letter in ((100.0, "a"), (200.0, "b"), (300.0, "c")):
        _stored(store, "train", letter * 64, mini, started)
    names = {"a" * 64: KnownName("toy 1, champion", is_champion=True), "b" * 64: KnownName("toy 2")}
    offers = stored_offers(store, ("train",), names)
    assert [offer.name.partition(" of ")[0] for offer in offers] == [
        "toy 1, champion (train/aaaaaaaa)",
        "standard",
        "toy 2 (train/bbbbbbbb)",
    ]
    assert "train/aaaaaaaaaaaa" in offers[0].remark


def test_dual_of_a_base_is_built_once_and_mirrors_it(mini, tmp_path):
    offers = base_offers("latent-mini", mini)
    first, again = offers[1].locate(), base_offers("latent-mini", mini)[1].locate()
    assert first == again and first.is_relative_to(tmp_path / "cache")
    assert [path.name for path in first.parent.iterdir()] == [first.name]
    rows = json.loads((mini / "config.json").read_text())["vocab_size"]
    assert DualVocabulary.load(first).visible_size == rows
    assert "not trained" in offers[1].remark


def test_catalog_loads_a_model_once_and_lets_go_of_the_one_longest_unused(mini):
    located: list[str] = []

    def offer(name: str) -> Offer:
        return Offer(name, Kind.STANDARD, "", lambda: located.append(name) or mini)

    catalog = ModelCatalog(lambda: [offer(name) for name in "abcd"])
    for name in "abcabdac":
        catalog.player(name)
    assert "".join(located) == "abcdc"
    with pytest.raises(InputError, match="not on offer any more"):
        catalog.player("e")
