"""The Playground tab: a question, two models, and what they write."""

from __future__ import annotations

import gradio as gr

from latent_core.benchmarks.word_problems import generate_problem
from latent_core.ui.catalog import Kind, ModelCatalog
from latent_core.ui.demo import Demo
from latent_core.ui.markup import note
from latent_core.ui.messages import guarded, told_stream
from latent_core.ui.playground import MAX_NEW_TOKENS, MAX_QUESTION
from latent_core.ui.tabs import ratio_slider


def playground_tab(demo: Demo, page: gr.Blocks) -> None:
    """Fill the tab; `page` tells when it is opened, to offer the models that the store then has."""
    with gr.Row():
        with gr.Column(scale=2, min_width=360):
            question = gr.Textbox(
                generate_problem("test", 7, difficulty=2).question,
                label="Question",
                info=f"at most {MAX_QUESTION:,} characters",
                lines=4,
                elem_id="question",
            )
            with gr.Row():
                start = gr.Button("Answer", variant="primary", elem_id="answer")
                stop = gr.Button("Stop")
                another = gr.Button("Another question")
        with gr.Column(scale=1, min_width=320):
            standard = _offered(demo.catalog, Kind.STANDARD)
            dual = _offered(demo.catalog, Kind.DUAL)
            ratio = ratio_slider("play")
            tokens = gr.Slider(16, MAX_NEW_TOKENS, 256, step=16, label="New tokens, at most")
    stage = gr.HTML(
        note("Each model writes one token a step. Point at a block of latent ids to read what they stand for."),
        elem_id="stage",
    )
    running = gr.on(
        [start.click, question.submit],
        told_stream(demo.play),
        [question, ratio, tokens, standard, dual],
        stage,
        api_name="play",
        show_progress="hidden",
        concurrency_limit=2,
    )
    stop.click(None, cancels=running, api_visibility="private")
    numbers = gr.State(7)
    another.click(_another_question, numbers, [numbers, question], show_progress="hidden", api_visibility="private")
    page.load(
        guarded(lambda: [_offered(demo.catalog, kind) for kind in Kind]),
        None,
        [standard, dual],
        api_visibility="private",
    )


def _another_question(number: int) -> tuple[int, str]:
    return number + 1, generate_problem("test", number + 1, difficulty=1 + number % 3).question


def _offered(catalog: ModelCatalog, kind: Kind) -> gr.Dropdown:
    names = catalog.names(kind)
    return gr.Dropdown(names, value=names[0], label=f"{kind.capitalize()} model", elem_id=f"{kind}-model")
