"""Estimates: per row where rows are known, from this store's own manifests, and silent where nothing was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from latent_core.identity import fingerprint
from latent_core.store import ArtifactRef, ArtifactStore, Manifest, begin
from tasks.run import estimates
from tasks.run.estimates import Rates, costs_of


def _add(
    store: ArtifactStore, stage: str, rows: int, seconds: float, tokens: int | None = None, **record: float
) -> None:
    config = {"rows": rows, "seconds": seconds}
    with begin(store, ArtifactRef(stage, fingerprint(stage, 1, config, {}))) as out:
        with out.open("data") as handle:
            handle.write(b"x" * 10 * rows)
        metrics = {} if tokens is None else {"tokens": tokens}
        out.commit(config=config, rows=rows, metrics=metrics, record={"seconds": seconds} | record)


def test_estimate_scales_with_rows(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    _add(store, "collect", 10, 5.0, tokens=1000)
    _add(store, "collect", 20, 10.0, tokens=2000)
    estimate = Rates(store).estimate("collect", 100)
    assert estimate is not None
    assert (estimate.seconds, estimate.tokens, estimate.bytes, estimate.based_on) == (50.0, 10_000.0, 1000.0, 2)


def test_estimate_without_rows_is_the_median_of_earlier_results(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    for seconds in (1.0, 2.0, 30.0):
        _add(store, "train", 0, seconds)
    estimate = Rates(store).estimate("train", None)
    assert estimate is not None and estimate.seconds == 2.0 and estimate.tokens is None


def test_nothing_measured_is_no_estimate_and_damage_is_skipped(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    _add(store, "train", 0, 1.0)
    assert Rates(store).estimate("collect", 10) is None
    (manifest,) = tmp_path.glob("train/*/manifest.json")
    manifest.write_text("{}")
    assert Rates(store).estimate("train", None) is None


@pytest.mark.parametrize("rows", [5, None])
def test_rows_of_zero_are_not_divided_by(tmp_path: Path, rows: int | None) -> None:
    store = ArtifactStore(tmp_path)
    _add(store, "merge", 0, 4.0)
    estimate = Rates(store).estimate("merge", rows)
    assert estimate is not None and estimate.seconds == 4.0


def test_costs_of_a_run_read_the_stages_asked_for_and_not_more_than_so_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimates, "READ_AT_MOST", 3)
    store = ArtifactStore(tmp_path)
    for number in range(5):
        _add(store, "collect", 10 + number, 2.0 * (10 + number))
    _add(store, "train", 0, 9.0)
    read: list[str] = []
    manifest = ArtifactStore.manifest

    def noted(self: ArtifactStore, ref: ArtifactRef) -> Manifest:
        read.append(ref.stage)
        return manifest(self, ref)

    monkeypatch.setattr(ArtifactStore, "manifest", noted)
    cost = costs_of(store, ["collect"])
    assert read == ["collect"] * 3 and cost("train", None) is None
    found = cost("collect", 100)
    assert found is not None and found.seconds == pytest.approx(200.0)


def test_calls_that_were_computed_together_are_told_from_calls_in_turn(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    for number in range(4):
        _add(store, "together", number, 10.0, started=1000.0)
        _add(store, "in_turn", number, 10.0, started=1000.0 + 10 * number)
    rates = Rates(store)
    assert rates.at_once("together") == 4.0 and rates.at_once("in_turn") == 1.0
    assert rates.at_once("never") == 1.0
