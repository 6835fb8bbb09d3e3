"""`latent view`: which artifacts it takes, what it calls their evaluations, and what it says of others."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from flows.cli.sample_sources import sample_browser
from latent_core.errors import InputError
from latent_core.store import ArtifactRef, ArtifactStore, begin
from latent_core.ui.browser import Link
from tasks.run.history import find_run
from tests.support.graded import report_in, run_in
from tests.support.lab import QUESTIONS, Lab, two_runs


@pytest.fixture
def evaluations(tmp_path: Path) -> dict[str, ArtifactRef]:
    """Three evaluations in a store, by role."""
    return {f"evaluation/{one.key}": one.artifact.ref for one in run_in(tmp_path / "store").evaluations}


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


@pytest.fixture
def old(store: ArtifactStore, evaluations: dict[str, ArtifactRef]) -> ArtifactRef:
    """A report without the evaluation of standard."""
    return report_in(store, "Old", {role: ref for role, ref in evaluations.items() if "dual" in role}, 100.0)


@pytest.fixture
def new(store: ArtifactStore, evaluations: dict[str, ArtifactRef]) -> ArtifactRef:
    return report_in(store, "New", evaluations, 200.0)


def test_reports_of_the_store_are_offered_the_newest_first(store, old, new):
    browser = sample_browser(store)
    assert [title.split(", ")[1] for title, _ in browser.choices()] == [
        f"New (report/{new.fingerprint[:8]})",
        f"Old (report/{old.fingerprint[:8]})",
    ]
    shown = browser.show(Link())
    assert (shown.link.condition, shown.link.beside) == ("dual/ratio 1", "standard/ratio 0.5")


def test_named_report_opens_first_and_others_stay_on_offer(store, old, new):
    browser = sample_browser(store, [str(old)])
    assert [key for _, key in browser.choices()] == [f"report/{ref.fingerprint[:12]}" for ref in (old, new)]
    assert browser.show(Link()).beside is None  # one model


def test_run_named_by_its_id_opens_its_report(tmp_path):
    lab = two_runs(tmp_path)
    shown = sample_browser(lab.store, ["last"]).show(Link())
    assert shown.run.key == f"report/{find_run(lab.store, 'last').result.fingerprint[:12]}"
    assert (shown.link.condition, len(shown.listed)) == ("dual/ratio 1", QUESTIONS)
    failed = lab.run(3e-3, None, InputError("train: no"))
    with pytest.raises(InputError, match=f"run: {failed[:8]} is failed and has no result"):
        sample_browser(lab.store, [failed])


def test_evaluations_named_alone_are_called_as_reports_call_them_and_seen_together(store, new):
    shown = sample_browser(store, ["evaluate/a", "evaluate/c"]).show(Link(show="disagree"))
    assert (shown.link.condition, shown.link.beside) == ("dual/ratio 0.5", "standard/ratio 0.5")
    assert [line.key for line in shown.listed] == ["q2", "q4", "q7", "q8"]


def test_two_reports_seen_together_hold_each_evaluation_once(store, old, new):
    shown = sample_browser(store, [str(old), str(new)]).show(Link())
    assert sorted(one.key for one in shown.run.evaluations) == ["dual/ratio 0.5", "dual/ratio 1", "standard/ratio 0.5"]


def test_runs_seen_together_tell_models_of_one_name_apart(tmp_path):
    lab = two_runs(tmp_path)
    shown = sample_browser(lab.store, ["last~1", "last"]).show(Link())
    assert len({one.key for one in shown.run.evaluations}) == len(shown.run.evaluations) == 4
    for one in shown.run.evaluations:
        assert one.model == f"dual (evaluate/{one.artifact.ref.fingerprint[:8]})"


def test_evaluation_of_no_report_is_called_as_what_it_was_made_of(tmp_path):
    lab = Lab(tmp_path)
    trained = lab.commit("train", {"seed": 1}, {})
    made = lab.commit("evaluate", {"ratio": 0.5, "prompting": "reduce"}, {"model": trained}, right=20)
    shown = sample_browser(lab.store, [str(made)]).show(Link())
    assert shown.link.condition == f"train {trained.fingerprint[:8]}/reduce 0.5"


def test_condition_of_a_newer_release_is_called_as_its_report_does_and_shown(store, evaluations):
    newer = {role.replace("dual/ratio 0.5", "dual/whisper 0.5"): ref for role, ref in evaluations.items()}
    report = report_in(store, "Newer", newer, 300.0)
    shown = sample_browser(store, [str(report)]).show(Link(condition="dual/whisper 0.5"))
    assert (shown.link.condition, shown.link.beside) == ("dual/whisper 0.5", "standard/ratio 0.5")
    assert [one.name for one in shown.run.evaluations] == [
        "dual, ratio 1",
        "standard, ratio 0.5",
        "dual, whisper 0.5",
    ]
    alone = sample_browser(store, [str(newer["evaluation/dual/whisper 0.5"])]).show(Link())
    assert alone.link.condition == "dual/whisper 0.5" and alone.listed


def test_evaluation_that_is_gone_is_named(store, new):
    store.set_aside(ArtifactRef("evaluate", "c" * 64))
    assert sample_browser(store, [str(new)]).show(Link()).notes == ("missing or damaged: standard, ratio 0.5",)


def test_artifact_without_samples_is_one_line_that_says_what_to_name(store):
    with begin(store, ArtifactRef("train", "f" * 64)) as out:
        with out.open("model.bin") as file:
            file.write(b"x")
        out.commit()
    arguments = ["view", "train/ff", "--store", str(store.root)]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, InputError)
    assert "train/ffffffffffff has no samples" in str(result.exception) and "evaluate/FINGERPRINT" in str(
        result.exception
    )
    with pytest.raises(InputError, match="no artifact matches 'report/xx'"):
        sample_browser(store, ["report/xx"])
