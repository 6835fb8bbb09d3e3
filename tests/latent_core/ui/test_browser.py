"""The browser of samples: filters, two models side by side, and links that lead back to what they were made from."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from latent_core.errors import InputError
from latent_core.store import ArtifactRef, ArtifactStore, begin
from latent_core.ui import graded
from latent_core.ui.browser import NOBODY, Link, SampleBrowser, Source
from latent_core.ui.browser_markup import sample as sample_html
from latent_core.ui.browser_markup import written
from latent_core.ui.graded import Evaluated, EvaluatedRun, GradedSamples, Show, why
from tests.support.graded import QUESTIONS, TABLE, evaluated, graded_row, run_in


@pytest.fixture
def run(tmp_path: Path) -> EvaluatedRun:
    return run_in(tmp_path / "store")


@pytest.fixture
def browser(run: EvaluatedRun) -> SampleBrowser:
    return SampleBrowser(GradedSamples(TABLE), lambda: [Source(run.key, run.title, lambda: run)])


def _listed(browser: SampleBrowser, **link: str) -> list[str]:
    return [line.key for line in browser.show(Link(**link)).listed]


@pytest.mark.parametrize(
    ("show", "expected"),
    [
        ("wrong", ["q1", "q4", "q24"]),
        ("truncated", ["q7"]),
        ("unparsed", ["q8"]),
        ("disagree", ["q2", "q4", "q7", "q8"]),  # q1 is wrong in both; the other has no q24
    ],
)
def test_filter_lists_the_samples_of_its_kind(browser, show, expected):
    assert _listed(browser, condition="dual/ratio 0.5", show=show) == expected
    assert browser.show(Link(condition="dual/ratio 0.5")).counts[Show(show)] == len(expected)


def test_filter_and_level_are_met_both(browser):
    shown = browser.show(Link(condition="dual/ratio 0.5", show="wrong", level="2"))
    assert [line.key for line in shown.listed] == ["q1", "q4"] and shown.levels == ["1", "2", "3"]
    assert (shown.counts[Show.ALL], shown.counts[Show.WRONG]) == (8, 2)


def test_levels_are_sorted_as_numbers(tmp_path):
    store = ArtifactStore(tmp_path)
    with begin(store, ArtifactRef("evaluate", "d" * 64)) as out:
        from latent_core.generate.completions import sample_schema

        with out.table(TABLE, sample_schema()) as table:
            table.extend(graded_row(index, level=level) for index, level in enumerate(["10", "hard", "9", None]))
        one = Evaluated("m", "c", None, out.commit())
    assert graded.levels(GradedSamples(TABLE).index(one).values()) == ["9", "10", "hard"]


def test_beside_is_another_model_under_the_same_condition_unless_chosen(browser):
    assert browser.show(Link(condition="dual/ratio 0.5")).link.beside == "standard/ratio 0.5"
    assert browser.show(Link(condition="dual/ratio 1")).link.beside == "standard/ratio 0.5"  # it has no other
    alone = browser.show(Link(condition="dual/ratio 0.5", beside=NOBODY, show="disagree"))
    assert alone.beside is None and alone.listed == [] and alone.link.beside == NOBODY


def test_link_leads_back_to_what_it_was_made_from(browser):
    shown = browser.step(Link(condition="dual/ratio 0.5", show="disagree"), 2)
    assert shown.link.sample == "q7"
    again = browser.show(Link.of(dict(parse_qsl(urlsplit(shown.link.query()).query))))
    assert again == shown
    assert shown.link.query() == (
        "?run=report%2Fab&condition=dual%2Fratio+0.5&beside=standard%2Fratio+0.5&show=disagree&sample=q7"
    )


def test_link_with_unknown_names_says_so_and_shows_something(browser):
    link = Link.of({"condition": "x/y", "show": "z", "level": "9", "sample": "nope", "__theme": "dark"})
    shown = browser.show(link)
    assert shown.line is not None and shown.line.key == "q0" and shown.link.condition == "dual/ratio 0.5"
    assert [note.partition(":")[0] for note in shown.notes] == ["condition", "level", "show", "sample"]
    with pytest.raises(InputError, match="run: 'report/zz' is not on this page"):
        browser.show(Link(run="report/zz"))


def test_steps_end_at_the_ends_and_the_page_goes_along(browser):
    last = browser.step(Link(condition="dual/ratio 0.5", sample="q20"), 10)
    assert (last.number, [line.key for line in last.page]) == (QUESTIONS - 1, [f"q{i}" for i in range(20, 25)])
    assert browser.step(last.link, -100).link.sample == "q0"


def test_texts_are_read_for_the_sample_looked_at_alone(browser, run, monkeypatch):
    read: list[tuple[str, ...]] = []
    batches = type(run.evaluations[0].artifact).batches

    def watched(artifact, path, columns=None):
        read.append(tuple(columns))
        return batches(artifact, path, columns)

    monkeypatch.setattr("latent_core.store.store.Artifact.batches", watched)
    for _ in range(3):
        shown = browser.show(Link(condition="dual/ratio 0.5", show="wrong"))
    assert len(read) == 2 and all("completion" not in columns for columns in read)  # one index an evaluation
    row = browser.samples.sample(shown.evaluated, shown.listed[-1])
    assert row["question"] == "What is 24?" and "output_token_ids" not in row
    assert not any("token_ids" in name for columns in read for name in columns)


def test_artifact_without_graded_samples_is_one_clear_error(tmp_path):
    store = ArtifactStore(tmp_path)
    with begin(store, ArtifactRef("train", "e" * 64)) as out:
        with out.open("model.bin") as file:
            file.write(b"x")
        one = Evaluated("m", "c", None, out.commit())
    with pytest.raises(InputError, match=r"artifact: train/e+ has no graded samples; name a report"):
        GradedSamples(TABLE).index(one)


def test_why_says_how_the_verdict_came_about():
    assert why(graded_row(3, "wrong")) == "Answer -1, which is not equal to the gold answer, 3."
    assert why(graded_row(3, answer="3.0")) == "Answer 3.0, which is the gold answer, 3."
    assert why(graded_row(3, "truncated")).startswith("Cut at 13 tokens")
    assert why(graded_row(3, "unparsed")).startswith("No answer found")


def test_written_tells_reasoning_from_answer_and_loses_no_text():
    assert written(graded_row(3)) == ("we count to 3", "The answer is $\\boxed{3}$")
    elsewhere = graded_row(3, completion="<think>other words</think> 3")
    assert written(elsewhere) == ("", "other words 3")


def test_sample_shows_both_models_and_says_what_was_latent(tmp_path):
    store = ArtifactStore(tmp_path)
    dual, standard = (evaluated(store, letter, name, 0.5, {}, 1) for letter, name in (("a", "dual"), ("b", "std")))
    html = sample_html("Q <b>?", "3", [(dual, graded_row(3, "wrong", latent_tokens=4)), (standard, None)])
    assert "decoded from latent tokens" in html and "4 latent" in html and "no such sample" in html
    assert "<span class='boxed'>-1</span>" in html and "<b>?" not in html
