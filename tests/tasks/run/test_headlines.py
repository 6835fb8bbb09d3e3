"""The one line of accuracies that `latent runs` and sweeps show of a report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from latent_core.store import ArtifactRef
from tasks.run.headlines import headline, results_behind
from tests.support.lab import PROBLEMS, Lab


def _line(folder: Path, right: Mapping[str, int]) -> str:
    lab = Lab(folder)
    roles: dict[str, ArtifactRef] = {
        f"evaluation/{role}": lab.commit("evaluate", {"role": role}, {"problems": PROBLEMS}, right=count)
        for role, count in right.items()
    }
    report = lab.commit("report", {"title": "Any"}, roles)
    return headline(results_behind(lab.store, [report])[report])


@pytest.mark.parametrize(
    ("right", "line"),
    [
        (
            {"policy/start 1": 20, "policy/start 0.5": 10, "policy/grpo 1": 36, "policy/grpo 0.5": 30},
            "policy grpo 90.0 to 75.0, policy start 50.0 to 25.0 %",
        ),
        ({"dual/ratio 1": 36, "dual/ratio 0.5": 30, "dual/auto ratio": 4}, "dual auto ratio 10.0, dual 90.0 to 75.0 %"),
        ({"dual-seed1/ratio 1": 36, "dual-seed2/ratio 1": 32, "base/untrained": 38}, "base 95.0, dual 85.0 %"),
    ],
)
def test_headline_is_a_mean_over_seeds_and_never_over_ways_of_asking(
    tmp_path: Path, right: Mapping[str, int], line: str
) -> None:
    assert _line(tmp_path, right) == line


def test_headline_of_a_kind_of_a_newer_release_is_called_as_its_role_says(tmp_path: Path) -> None:
    assert _line(tmp_path, {"dual/ratio 1": 36, "dual/telepathy": 20}) == "dual 90.0, dual/telepathy 50.0 %"
