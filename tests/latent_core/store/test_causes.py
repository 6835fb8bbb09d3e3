"""Why two artifacts differ: the first cause, and what follows from it."""

from __future__ import annotations

from pathlib import Path

from latent_core.store import Reference
from latent_core.store.causes import VERSION, diagnose
from tests.support.lab import PROBLEMS, Lab


def test_diagnose_finds_the_stage_behind_several_levels_that_was_made_in_another_way(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    found = diagnose(lab.store, lab.report(1e-3, 30), lab.report(2e-3, 10))
    (cause,) = found.causes
    assert (cause.stage, cause.is_first, [item.path for item in cause.changes]) == ("train", True, ["learning_rate"])
    assert found.consequences == {"report": 1, "evaluate": 2} and found.pairs == 4


def test_diagnose_names_a_raised_version_changed_content_and_what_only_one_side_has(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    one = lab.commit("collect", {"questions": 1}, {"problems": PROBLEMS})
    other = lab.commit(
        "collect", {"questions": 1}, {"problems": Reference(None, "cd" * 32), "more": PROBLEMS}, version=2
    )
    (cause,) = diagnose(lab.store, one, other).causes
    assert {item.path: (item.before, item.after) for item in cause.changes if item.path != "input more"} == {
        VERSION: (1, 2),
        "input problems": ("content abababababab", "content cdcdcdcdcdcd"),
    }
    assert "input more" in {item.path for item in cause.changes}


def test_diagnose_says_what_it_cannot_know_when_a_parent_is_gone(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    reports = lab.report(1e-3, 30), lab.report(2e-3, 10)
    for ref in list(lab.store.list("train")):
        lab.store.set_aside(ref)
    found = diagnose(lab.store, *reports)
    assert not found.causes and any(reason.startswith("train/") for reason in found.unknown)
    assert diagnose(lab.store, reports[0], reports[0]).are_one


def test_diagnose_puts_first_what_nothing_behind_explains(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    trained = [
        lab.commit("train", {"steps": steps}, {"samples": lab.commit("collect", {"questions": count}, {})})
        for steps, count in ((10, 100), (20, 200))
    ]
    causes = diagnose(lab.store, trained[0], trained[1]).causes
    assert [(cause.stage, cause.is_first) for cause in causes] == [("collect", True), ("train", False)]
