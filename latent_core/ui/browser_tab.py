"""The tab that browses graded samples, and the page that holds it alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from latent_core.errors import LatentError
from latent_core.ui import browser_markup
from latent_core.ui.browser import NOBODY, Link, SampleBrowser, Shown, conditions_of, models_of, nearest
from latent_core.ui.graded import Evaluated, Line, Show
from latent_core.ui.markup import error_note, note

SAMPLES_TAB = "samples"
_EVERY_LEVEL = "every level"
_WORDS = {
    Show.ALL: "all",
    Show.WRONG: "wrong",
    Show.TRUNCATED: "truncated",
    Show.UNPARSED: "unparsed",
    Show.DISAGREE: "the two disagree",
}
_FOLLOW = "query => { if (query) history.replaceState(history.state, '', query) }"
_FOLLOW_IF_OPEN = f"query => {{ if (document.querySelector('#browse-sample')?.offsetParent) ({_FOLLOW})(query) }}"
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def viewer_page(browser: SampleBrowser) -> gr.Blocks:
    """The page of `latent view`: only the browser of samples. Loads no model."""
    page: gr.Blocks
    with gr.Blocks(title="Latent reasoning: samples", analytics_enabled=False) as page:
        gr.HTML(
            "<header><h1>Samples</h1><p>What models wrote, how it was graded and why; two models side by side. The "
            "page's address leads back to the sample that is open.</p></header>"
        )
        with gr.Tabs(), gr.Tab("Samples", id=SAMPLES_TAB) as tab:
            browser_tab(browser, page, tab)
    return page


def browser_tab(browser: SampleBrowser, page: gr.Blocks, tab: gr.Tab) -> None:
    """Fill the tab; `page` tells at which address it was opened, which follows what is looked at in the open `tab`."""
    run = gr.Dropdown([], label="Run", elem_id="browse-run")
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            with gr.Row():
                model = gr.Dropdown([], label="Model", min_width=130, elem_id="browse-model")
                condition = gr.Dropdown([], label="Condition", min_width=130, elem_id="browse-condition")
            with gr.Row():
                other = gr.Dropdown([], label="Beside it", min_width=130, elem_id="browse-other")
                other_condition = gr.Dropdown([], label="Condition", min_width=130, elem_id="browse-other-condition")
            show = gr.Radio([], label="Show", elem_id="browse-show")
            level = gr.Dropdown([_EVERY_LEVEL], label="Level", elem_id="browse-level")
            rows = gr.Radio([], label="Samples", elem_id="browse-rows")
            with gr.Row():
                steps = [
                    (gr.Button("« 10", size="sm", min_width=40), -10),
                    (gr.Button("←", size="sm", min_width=40), -1),
                    (gr.Button("→", size="sm", min_width=40, elem_id="browse-next"), 1),
                    (gr.Button("10 »", size="sm", min_width=40), 10),
                ]
        with gr.Column(scale=3, min_width=300):
            sample = gr.HTML(elem_id="browse-sample")
            query = gr.Textbox(visible="hidden", elem_id="browse-query")
    state = gr.State(Link())
    outputs = [state, query, sample, run, model, condition, other, other_condition, show, level, rows]

    def answer(link: Link, by: int = 0) -> list[Any]:
        try:
            shown = browser.step(link, by) if by else browser.show(link)
            return _updates(browser, shown)
        except LatentError as error:
            on_offer = gr.Dropdown(choices=browser.choices(), value=None)
            return [link, "", error_note(str(error)), on_offer, *[gr.skip()] * 7]

    def opened(request: gr.Request) -> list[Any]:
        return answer(Link.of(dict(request.query_params)))

    def run_chosen(key: str) -> list[Any]:
        return answer(Link(run=key))

    def model_chosen(link: Link, name: str) -> list[Any]:
        return _answer_like(link, name, "condition")

    def other_chosen(link: Link, name: str) -> list[Any]:
        return answer(_with(link, beside=NOBODY)) if name == NOBODY else _answer_like(link, name, "beside")

    def _answer_like(link: Link, name: str, field: str) -> list[Any]:
        shown = browser.show(link)
        like = shown.evaluated if field == "condition" or shown.beside is None else shown.beside
        return answer(_with(link, **{field: nearest(shown.run, name, like).key}))

    page.load(opened, None, outputs, **_QUIET)
    run.input(run_chosen, run, outputs, **_QUIET)
    model.input(model_chosen, [state, model], outputs, **_QUIET)
    other.input(other_chosen, [state, other], outputs, **_QUIET)
    condition.input(lambda link, key: answer(_with(link, condition=key)), [state, condition], outputs, **_QUIET)
    other_condition.input(
        lambda link, key: answer(_with(link, beside=key)), [state, other_condition], outputs, **_QUIET
    )
    show.input(lambda link, word: answer(_with(link, show=word)), [state, show], outputs, **_QUIET)
    level.input(
        lambda link, word: answer(_with(link, level="" if word == _EVERY_LEVEL else word)),
        [state, level],
        outputs,
        **_QUIET,
    )
    rows.input(lambda link, key: answer(_with(link, sample=key)), [state, rows], outputs, **_QUIET)
    for button, by in steps:
        button.click(lambda link, by=by: answer(link, by), state, outputs, **_QUIET)
    query.change(None, query, None, js=_FOLLOW_IF_OPEN, api_visibility="private")
    tab.select(None, query, None, js=_FOLLOW, api_visibility="private")


def _with(link: Link, **changes: str) -> Link:
    return Link(**{**vars(link), **changes})


def _updates(browser: SampleBrowser, shown: Shown) -> list[Any]:
    """One value a component, in the order of the tab's outputs."""
    link, run, beside = shown.link, shown.run, shown.beside
    models = models_of(run)
    return [
        link,
        link.query(),
        _sample(browser, shown),
        gr.Dropdown(choices=browser.choices(), value=run.key),
        gr.Dropdown(choices=models, value=shown.evaluated.model),
        _conditions(shown, shown.evaluated),
        gr.Dropdown(choices=[("nothing", NOBODY), *models], value=NOBODY if beside is None else beside.model),
        gr.Dropdown(choices=[], value=None, visible=False) if beside is None else _conditions(shown, beside),
        gr.Radio(
            choices=[(f"{word} {shown.counts[show]:,}", show.value) for show, word in _WORDS.items()],
            value=link.show or Show.ALL.value,
        ),
        gr.Dropdown(
            choices=[_EVERY_LEVEL, *shown.levels], value=link.level or _EVERY_LEVEL, visible=bool(shown.levels)
        ),
        gr.Radio(
            choices=[(_title(line, shown.others.get(line.key)), line.key) for line in shown.page],
            value=link.sample or None,
            label=f"Sample {shown.number + 1:,} of {len(shown.listed):,}, verdict and tokens"
            if shown.listed
            else "No sample",
        ),
    ]


def _conditions(shown: Shown, evaluated: Evaluated) -> gr.Dropdown:
    own = conditions_of(shown.run, evaluated.model)
    return gr.Dropdown(choices=[(one.condition, one.key) for one in own], value=evaluated.key, visible=True)


def _sample(browser: SampleBrowser, shown: Shown) -> str:
    notes = "".join(note(text) for text in shown.notes)
    line = shown.line
    if line is None:
        return notes + note("No sample passes this filter; choose another one.")
    row = browser.samples.sample(shown.evaluated, line)
    columns: list[tuple[Evaluated, Mapping[str, Any] | None]] = [(shown.evaluated, row)]
    if shown.beside is not None:
        twin = shown.others.get(line.key)
        columns.append((shown.beside, None if twin is None else browser.samples.sample(shown.beside, twin)))
    return notes + browser_markup.sample(row["question"], row["gold"], columns)


def _title(line: Line, twin: Line | None) -> str:
    beside = "" if twin is None else f" | {twin.verdict} {twin.tokens:,}"
    return f"{line.key}: {line.verdict} {line.tokens:,}{beside}"
