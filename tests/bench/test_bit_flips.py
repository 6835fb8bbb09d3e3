"""The bit-flip campaign in small: nothing damaged is shown, and the campaign would notice if it were."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.bit_flips import AGAIN, WRONG, Scene, campaign, repair, scene_of
from bench.here import run_here
from flows.launch.registry import find_flow
from latent_core.config.reevaluate import ReevaluateConfig
from latent_core.store import Artifact

FLIPS = 120


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("scene")
    config = ReevaluateConfig.model_validate(
        {
            "benchmark": {"difficulties": [1]},
            "evaluate": {"questions": 6, "ratios": [1.0, 0.5], "sampling": {"max_new_tokens": 16}},
            "store": str(folder / "store"),
            "runtime": {"work_dir": str(folder / "work")},
            "tracking": {"enabled": False},
        }
    )
    entry = find_flow("reevaluate")
    report, _ = run_here("reevaluate", entry, config)
    return scene_of(entry, config, report, lambda: run_here("reevaluate", entry, config)[1])


def test_flipped_bits_of_a_finished_store_are_never_shown_and_are_mended(scene: Scene) -> None:
    tallies = campaign(scene, FLIPS, seed=5)
    total = sum((tally.outcomes for tally in tallies.values()), Counter())
    assert total.total() == FLIPS and not total[WRONG], [tally.wrong for tally in tallies.values()]
    assert tallies["evaluate .parquet"].outcomes[AGAIN] == tallies["evaluate .parquet"].outcomes.total() > 0
    path, bit = tallies["evaluate .parquet"].mendable[0]
    assert repair(scene, path, bit)


def test_campaign_finds_what_a_store_shows_that_compares_no_hashes(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Artifact, "problems", lambda self: [])
    monkeypatch.setattr(Artifact, "_require", lambda self, item: None)
    tallies = campaign(scene, 40, seed=5)
    assert sum(tally.outcomes[WRONG] for tally in tallies.values()) > 0
