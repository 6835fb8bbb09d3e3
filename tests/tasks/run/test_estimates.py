"""Estimates: per row where rows are known, from this store's own manifests, and silent where nothing was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from latent_core.identity import fingerprint
from latent_core.store import ArtifactRef, ArtifactStore, begin
from tasks.run.estimates import Rates


def _add(store: ArtifactStore, stage: str, rows: int, seconds: float, tokens: int | None = None) -> None:
    config = {"rows": rows, "seconds": seconds}
    with begin(store, ArtifactRef(stage, fingerprint(stage, 1, config, {}))) as out:
        with out.open("data") as handle:
            handle.write(b"x" * 10 * rows)
        metrics = {} if tokens is None else {"tokens": tokens}
        out.commit(config=config, rows=rows, metrics=metrics, record={"seconds": seconds})


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
