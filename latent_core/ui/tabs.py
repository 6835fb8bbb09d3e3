"""The tabs about compression: their components, and which of the demo's functions answers which of them."""

from __future__ import annotations

from typing import Any

import gradio as gr

from latent_core.config.compress import RatioOf
from latent_core.ui import markup
from latent_core.ui.compression import MAX_CHARACTERS
from latent_core.ui.demo import Demo
from latent_core.ui.messages import guarded, told
from latent_core.ui.presets import PRESETS
from latent_core.ui.samples import PRESET_SOURCE, Page

_RULES = [("encoder words, per window (the paper's)", RatioOf.ENCODER_WORDS), ("target tokens", RatioOf.TARGET_TOKENS)]
_KEEPS = [("numbers", "keep_numbers"), ("signs", "keep_operators"), ("LaTeX", "keep_latex_commands")]
# A slider sends every position; only the last of those that arrive while one is answered counts.
_LIVE: dict[str, Any] = {"trigger_mode": "always_last", "show_progress": "hidden", "concurrency_limit": None}


def samples_tab(demo: Demo) -> tuple[gr.Dropdown, gr.State]:
    """Returns the source's dropdown and the state that holds the picked chain of thought."""
    first = demo.library.page(PRESET_SOURCE, 1)
    page, picked = gr.State(first), gr.State(first.samples[0].reasoning)
    with gr.Row():
        with gr.Column(scale=1, min_width=320):
            source = gr.Dropdown([PRESET_SOURCE], value=PRESET_SOURCE, label="Where from")
            rows = gr.Radio(_choices(first), value=0, label=_place(first), elem_id="rows")
            with gr.Row():
                back, forth = gr.Button("← previous", size="sm"), gr.Button("next →", size="sm")
            question = gr.HTML(markup.problem(first.samples[0].question, first.samples[0].answer))
            controls = _controls("sample")
        with gr.Column(scale=2, min_width=320):
            results = _results(demo, first.samples[0].reasoning, "sample")

    def turn(source: str, page: Page, step: int) -> tuple[Page, gr.Radio]:
        found = demo.library.page(source, page.number + step if step else 1)
        return found, gr.Radio(choices=_choices(found), value=0 if found.samples else None, label=_place(found))

    def show(page: Page, row: int | None) -> tuple[str, str]:
        if row is None:
            return markup.note("There is nothing in it."), ""
        sample = page.samples[row]
        return markup.problem(sample.question, sample.answer), sample.reasoning

    for event, step in ((source.input, 0), (back.click, -1), (forth.click, 1)):
        turned = event(
            guarded(lambda source, page, step=step: turn(source, page, step)),
            [source, page],
            [page, rows],
            show_progress="hidden",
            api_visibility="private",
        )
        turned.then(guarded(show), [page, rows], [question, picked], api_visibility="private")
    rows.input(guarded(show), [page, rows], [question, picked], show_progress="hidden", api_visibility="private")
    gr.on(
        [picked.change, *(control.change for control in controls)],
        told(demo.compress, 3),
        [picked, *controls],
        results,
        api_name="compress_sample",
        api_visibility="private",
        **_LIVE,
    )
    return source, picked


def custom_tab(demo: Demo) -> gr.Textbox:
    with gr.Row():
        with gr.Column(scale=1, min_width=320):
            text = _text_box("custom-text")
            controls = _controls("custom")
        with gr.Column(scale=2, min_width=320):
            results = _results(demo, PRESETS[0].reasoning, "custom")
    gr.on(
        [text.change, *(control.change for control in controls)],
        told(demo.compress, 3),
        [text, *controls],
        results,
        api_name="compress",
        **_LIVE,
    )
    return text


def compare_tab(demo: Demo) -> gr.Textbox:
    with gr.Row():
        with gr.Column(scale=1):
            text = _text_box("compare-text")
        with gr.Column(scale=1):
            controls = _controls("compare")
    columns = gr.HTML(demo.compare(PRESETS[0].reasoning, 0.5, RatioOf.ENCODER_WORDS, ()), elem_id="compare-columns")
    gr.on(
        [text.change, *(control.change for control in controls)],
        told(demo.compare),
        [text, *controls],
        columns,
        api_name="compare",
        **_LIVE,
    )
    return text


def why_tab(demo: Demo, tab: gr.Tab) -> gr.Textbox:
    with gr.Row():
        with gr.Column():
            text = _text_box("why-text")
        with gr.Column():
            ratio = ratio_slider("why")
    causes = gr.HTML(elem_id="why-causes")
    inputs = [text, ratio]
    # While its tab is not open, another text costs nothing here.
    tab.select(
        told(demo.explain),
        inputs,
        causes,
        show_progress="hidden",
        api_name="explain_on_opening",
        api_visibility="private",
    )
    gr.on([text.input, ratio.change], told(demo.explain), inputs, causes, api_name="explain", **_LIVE)
    return text


def _text_box(element: str) -> gr.Textbox:
    return gr.Textbox(
        PRESETS[0].reasoning,
        label="Chain of thought",
        info=f"at most {MAX_CHARACTERS:,} characters",
        lines=8,
        max_lines=16,
        elem_id=element,
    )


def ratio_slider(tab: str) -> gr.Slider:
    """The ratio; the element is called by its tab."""
    return gr.Slider(0.05, 1.0, 0.5, step=0.01, label="Ratio: share of the tokens to keep", elem_id=f"{tab}-ratio")


def _controls(tab: str) -> tuple[gr.Slider, gr.Radio, gr.CheckboxGroup]:
    return (
        ratio_slider(tab),
        gr.Radio(_RULES, value=RatioOf.ENCODER_WORDS, label="The ratio counts"),
        gr.CheckboxGroup(_KEEPS, label="Always keep"),
    )


def _results(demo: Demo, text: str, name: str) -> list[gr.HTML]:
    shown = demo.compress(text, 0.5, RatioOf.ENCODER_WORDS, ())
    diff = gr.HTML(shown[0], elem_id=f"{name}-diff")
    with gr.Accordion("Keep-probability of every word", open=True):
        heat = gr.HTML(shown[1], elem_id=f"{name}-heat")
    with gr.Accordion("The compressed text", open=False):
        result = gr.HTML(shown[2], elem_id=f"{name}-result")
    return [diff, heat, result]


def _choices(page: Page) -> list[tuple[str, int]]:
    return [(sample.title, row) for row, sample in enumerate(page.samples)]


def _place(page: Page) -> str:
    return f"Chain of thought (page {page.number} of {page.pages}, {page.total:,} in all)"
