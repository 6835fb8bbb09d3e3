"""The HTML page and its figures: whole, inert, and the same for the same input."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest

from latent_core.evaluation.condition import Kind
from latent_core.report import Evaluation, Place, Provenance, ReportEntry, build_entries, figures, render_report
from latent_core.report.disagreements import disagreements
from latent_core.report.paired import build_paired
from latent_core.report.runs import RanStage
from tests.support.evaluated import evaluated

HOSTILE = "</span><script>alert(1)</script><img src=x onerror=alert(2)>\" onload='x' $\\frac{1}{2}$ {{ 7 * 7 }}"


class Page(HTMLParser):
    """Collects the elements and attributes that a browser would see, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def render(entries: Sequence[ReportEntry], **changes: Any) -> str:
    arguments: dict[str, Any] = {
        "notes": ["Greedy decoding."],
        "compression": [{"requested_ratio": 0.5, "achieved_ratio": 0.5432, "answer_retention": 0.9}],
        "accounting": [{"stage": "collect", "kept": 5312, "wrong": 61}, {"stage": "prepare", "too_long": 12}],
        "provenance": Provenance(
            [{"stage": "collect", "fingerprint": "ab" * 32, "uri": "s3://bucket/collect", "version": "3"}],
            {"torch": "2.13.0"},
        ),
    }
    return render_report("A title", entries, **(arguments | changes))


@pytest.fixture(scope="module")
def whole_page(evaluations: list[Evaluation]) -> str:
    return render(build_entries(evaluations))


def test_page_holds_every_section_and_number(whole_page: str) -> None:
    page = Page(whole_page)
    for text in (
        "A title", "3 models, 5 evaluations, 8 questions each", "Greedy decoding.", "Level 2", "Requested ratio",
        "0.543", "5,312", "Too long", "ab" * 32, "s3://bucket/collect", "2.13.0", "What is 1 + 2?", "Right answer: 4",
    ):  # fmt: skip
        assert text in page.text, text
    assert sum(tag == "svg" for tag, _ in page.elements) == 2 * 3  # for wide and for narrow screens


def test_page_needs_neither_network_nor_script(whole_page: str) -> None:
    page = Page(whole_page)
    assert not {tag for tag, _ in page.elements} & {"script", "link", "iframe", "img", "object", "embed"}
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", whole_page)


def test_page_ids_of_inlined_figures_are_unique_and_their_references_resolve(whole_page: str) -> None:
    names = [attributes["id"] for _, attributes in Page(whole_page).elements if "id" in attributes]
    assert len(names) == len(set(names))
    references = set(re.findall(r'href="#([^"]+)"', whole_page)) | set(re.findall(r"url\(#([^)]+)\)", whole_page))
    assert references
    assert references <= set(names)


def test_page_hostile_text_everywhere_stays_text(rows: Callable[..., Any]) -> None:
    hostile = [
        row | dict.fromkeys(("question", "gold", "answer", "level"), HOSTILE) | {"question_id": f"{HOSTILE}{place}"}
        for place, row in enumerate(rows(4, 20, text=HOSTILE, latent=True))
    ]
    entries = build_entries([evaluated(HOSTILE, hostile)])
    page = Page(
        render_report(
            HOSTILE, entries, notes=[HOSTILE], compression=[{HOSTILE: HOSTILE}], accounting=[{HOSTILE: HOSTILE}],
            provenance=Provenance([{HOSTILE: HOSTILE}], {HOSTILE: HOSTILE}),
        )
    )  # fmt: skip
    assert not {tag for tag, _ in page.elements} & {"script", "img"}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert page.text.count("alert(1)") >= 12
    assert "{{ 7 * 7 }}" in page.text


def test_page_and_figures_of_the_same_input_are_the_same_bytes(evaluations: list[Evaluation], whole_page: str) -> None:
    import matplotlib

    drawn = figures(build_entries(evaluations))
    with matplotlib.rc_context({"font.size": 30, "axes.linewidth": 5, "axes.grid": True}):  # a user's own settings
        assert figures(build_entries(evaluations)) == drawn
        assert render(build_entries(evaluations)) == whole_page
    assert not re.search(rb"<dc:date|20\d\d-\d\d-\d\d", b"".join(drawn.values()))


def test_figures_are_well_formed_and_say_what_they_show(evaluations: list[Evaluation]) -> None:
    drawn = figures(build_entries(evaluations))
    assert list(drawn) == ["pareto", "ratios", "lengths"]
    for svg in drawn.values():
        ElementTree.fromstring(svg)
    assert b"mean reasoning tokens" in drawn["pareto"]
    assert b"base, reduce" in drawn["pareto"]
    assert b"base, reduce" not in drawn["ratios"]  # its reasoning ratio is unknown
    assert b"median 103" in drawn["lengths"] or b"median 104" in drawn["lengths"]


def test_pareto_figure_is_over_reasoning_tokens(rows: Callable[..., Any]) -> None:
    def drawn(**lengths: int) -> bytes:
        half = [row | lengths for row in rows(4, 60)]
        return figures(build_entries([evaluated("m", rows(6, 100)), evaluated("m", half, ratio=0.5)]))["pareto"]

    assert drawn() == drawn(tokens=90) != drawn(reasoning_tokens=25)


def test_figures_write_dollar_signs_of_names_as_they_are(rows: Callable[..., Any]) -> None:
    drawn = figures(build_entries([evaluated("$m_2$", rows(4, 20))]))
    assert b">$m_2$<" in drawn["pareto"]
    assert b">$m_2$<" in drawn["lengths"]


def test_figures_leave_the_users_matplotlib_settings_alone(evaluations: list[Evaluation]) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    figures(build_entries(evaluations))
    assert dict(matplotlib.rcParams) == before


def test_page_without_any_ratio_one_says_so_and_has_no_ratio_figure(evaluations: list[Evaluation]) -> None:
    html = render(build_entries(evaluations[:1]))
    page = Page(html)
    assert "base was not evaluated at ratio 1.0" in page.text
    assert "figure-ratios" not in html
    assert "figure-pareto" in html
    assert "saved" not in page.text


def test_page_without_entries_or_tables_is_still_a_page() -> None:
    page = Page(render([], notes=[], compression=[], accounting=[], provenance=Provenance()))
    assert "No evaluations." in page.text
    assert "No stages recorded." in page.text
    assert figures([]) == {}


def test_page_marks_latent_reasoning_and_only_it(whole_page: str) -> None:
    body = whole_page[whole_page.index('<h3 class="model"') :]
    assert body.count('<span class="reasoning latent">2 + 2 = 4</span>\n&lt;/think&gt;\nThe answer is 4.') == 2 * 4
    assert body.count('<span class="reasoning">2 + 2 = 4</span>') == 3 * 4


def test_page_partly_latent_reasoning_gives_its_share(rows: Callable[..., Any]) -> None:
    partly = [row | {"latent_tokens": 3} for row in rows(4, 20)]
    html = render(build_entries([evaluated("dual", partly)]))
    assert "3 of 10 tokens latent" in html


def test_page_long_completion_is_cut_and_says_by_how_much(rows: Callable[..., Any]) -> None:
    long = rows(4, 20, text="x" * 10_000)
    html = render(build_entries([evaluated("m", long, shown=1)]))
    assert "x" * 6000 in html
    assert "x" * 6001 not in html
    assert f"{10_000 + len('</think>The answer is 4.') + 2 - 6000} more characters" in html


def test_page_question_that_a_condition_did_not_sample_keeps_its_column(rows: Callable[..., Any]) -> None:
    other = list(reversed(rows(4, 20)))
    entries = build_entries(
        [evaluated("m", rows(4, 40), shown=1), evaluated("m", other, ratio=0.5, shown=1)],
    )
    assert Page(render(entries)).text.count("Not among the stored samples.") == 2


def test_page_headlines_name_no_condition_whose_reasoning_was_replaced(rows: Callable[..., Any]) -> None:
    """Emptied reasoning has the fewest tokens and, where the model guesses well, the best accuracy."""
    made = [(Kind.RATIO, 1.0, 7, 196), (Kind.RATIO, 0.5, 6, 96), (Kind.EMPTY_REASONING, 0.5, 8, 16)]
    entries = build_entries([evaluated("m", rows(right, tokens), kind, ratio) for kind, ratio, right, tokens in made])
    headlines = Page(render(entries)).text.partition("Model")[0]
    assert "m, ratio 1" in headlines and "empty" not in headlines


def test_page_figures_have_no_colour_that_dark_mode_could_not_set(whole_page: str) -> None:
    figures_of = whole_page[whole_page.index('<figure id="figure-pareto"') : whole_page.index('<section id="cost"')]
    assert not re.findall(r"#[0-9a-f]{6}\b", figures_of)
    used = set(re.findall(r"var\((--[a-z0-9-]+)\)", figures_of))
    light, dark = whole_page.split("@media screen and (prefers-color-scheme: dark)")
    for name in used:
        assert f"{name}:" in light and f"{name}:" in dark.partition("</style>")[0], name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_colours_stand_out_from_the_paper(whole_page: str, scheme: str) -> None:
    """WCAG 2.2: a contrast of 4.5 for text, of 3 for lines and marks."""
    parts = whole_page.partition("</style>")[0].split("@media screen and (prefers-color-scheme: dark)")
    colours = {
        name: [int(digits, 16) / (16 ** len(digits) - 1) for digits in re.findall("." * (len(value) // 3), value)]
        for name, value in re.findall(r"--([a-z0-9-]+): #([0-9a-f]+)\b", parts[scheme == "dark"])
    }
    limits = dict.fromkeys(("ink", "muted", "good", "bad", "latent"), 4.5)
    limits |= dict.fromkeys(("base", *(f"series-{place}" for place in range(6))), 3.0)
    for name, limit in limits.items():
        assert contrast(colours[name], colours["paper"]) >= limit, name


def contrast(one: list[float], other: list[float]) -> float:
    def luminance(colour: list[float]) -> float:
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_page_states_what_was_run_where_models_disagree_and_where_to_look(rows: Callable[..., Any]) -> None:
    found = [
        evaluated("base", rows(6, 40), Kind.UNTRAINED, 1.0),
        evaluated("standard", rows(4, 40)),
        evaluated("standard", rows(3, 20), ratio=0.5),
    ]
    record = {"parameters": {"learning_rate": 0.002, "sampling": {"engine": "vllm"}}, "environment": {"torch": "9.9"}}
    html = render(
        build_entries(found),
        paired=build_paired(found),
        ran=[RanStage("train/standard", "train", record=record), RanStage("evaluation/a/b", "evaluate", record=record)],
        disagreeing=disagreements(found),
        places=[Place("MLflow", "http://mlflow.lab", ""), Place("Prefect", None, "prefect server start")],
        files=["results.csv"],
    )
    page = Page(html)
    for text in ("Trained against untrained", "0.002", "vllm", "9.9", "prefect server start", "Where models disagree"):
        assert text in page.text, text
    assert "Of 8 questions 0 are right in the first only, 2 in the second only." in page.text
    links = {attributes.get("href") for tag, attributes in page.elements if tag == "a"}
    assert {"http://mlflow.lab", "results.csv", "#disagreements", "#run", "#paired"} <= links
