"""The page: components, and which function answers which of them. Everything it shows comes from the modules beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr

from latent_core.benchmarks.word_problems import generate_problem
from latent_core.compress.selection import RatioOf, SelectionOptions
from latent_core.errors import LatentError
from latent_core.ui import markup
from latent_core.ui.desk import MAX_CHARACTERS, CompressionDesk
from latent_core.ui.explanations import explain
from latent_core.ui.playground import MAX_NEW_TOKENS, MAX_QUESTION, play
from latent_core.ui.playground_markup import players_side_by_side
from latent_core.ui.presets import PRESETS
from latent_core.ui.samples import PRESET_SOURCE, Page, SampleLibrary
from latent_core.ui.shelf import Kind, ModelShelf

COLUMN_RATIOS = (0.9, 0.7, 0.5, 0.3)
STYLE = Path(__file__).with_name("page.css")
_RULES = [("encoder words, per window (the paper's)", RatioOf.ENCODER_WORDS), ("target tokens", RatioOf.TARGET_TOKENS)]
_KEEPS = [("numbers", "keep_numbers"), ("signs", "keep_operators"), ("LaTeX", "keep_latex_commands")]
# A slider sends every position; only the last of those that arrive while one is answered counts.
_LIVE: dict[str, Any] = {"trigger_mode": "always_last", "show_progress": "hidden", "concurrency_limit": None}


@dataclass(frozen=True)
class Demo:
    """What the page stands on; `target` names the model whose tokens are counted."""

    desk: CompressionDesk
    target: str
    library: SampleLibrary
    shelf: ModelShelf

    def compress(self, text: str, ratio: float, ratio_of: str, keeps: Sequence[str]) -> tuple[str, str, str]:
        """Counts and diff, heat map, and the compressed text, as HTML."""
        view = self.desk.view(text, ratio, _options(ratio_of, keeps))
        return (
            markup.counts(view, self.target) + markup.diff(view),
            markup.heat_map(view.alignment),
            markup.compressed(view),
        )

    def compare(self, text: str, ratio: float, ratio_of: str, keeps: Sequence[str]) -> str:
        """The slider's ratio beside the fixed ones, and how often the encoder has read a text."""
        views = self.desk.views(text, (ratio, *COLUMN_RATIOS), _options(ratio_of, keeps))
        passes = f"Encoder passes since the page's server started: {self.desk.passes}. The slider adds none."
        return markup.side_by_side(views, self.target) + markup.note(passes)

    def explain(self, text: str, ratio: float) -> str:
        """Why the achieved rate differs from the request, in the text's own numbers."""
        return explain(self.desk, text, ratio, self.target)

    def play(self, question: str, ratio: float, tokens: float, standard: str, dual: str) -> Iterator[str]:
        """Both models' progress after every token, as HTML."""
        players = [self.shelf.player(name) for name in (standard, dual)]
        for states in play(question, ratio, int(tokens), players):
            yield players_side_by_side(states)


def build_page(demo: Demo) -> gr.Blocks:
    """The Blocks of the page; `launch_options` has what they are launched with."""
    with gr.Blocks(title="Latent reasoning: compression demo", analytics_enabled=False) as page:
        gr.HTML(
            "<header><h1>How short can reasoning get?</h1><p>A compressor scores every word of a chain of thought "
            "once; a ratio then decides which words stay. Models trained on the result reason in fewer "
            "tokens.</p></header>"
        )
        with gr.Tabs():
            with gr.Tab("Samples"):
                pick, picked = _samples_tab(demo)
            with gr.Tab("Custom text"):
                custom = _custom_tab(demo)
            with gr.Tab("Ratios side by side"):
                compared = _compare_tab(demo)
            with gr.Tab("Why is the actual rate not my target?") as why:
                explained = _why_tab(demo, why)
            with gr.Tab("Playground"):
                _playground_tab(demo, page)
        texts = [custom, compared, explained]
        picked.change(lambda text: [text] * len(texts), picked, texts, show_progress="hidden", api_visibility="private")
        page.load(lambda: gr.Dropdown(choices=demo.library.sources()), None, pick, api_visibility="private")
    return page


def launch_options() -> dict[str, Any]:
    """Theme and switches for `Blocks.launch`: the reader's own fonts, nothing recorded, nothing fetched."""
    theme = gr.themes.Base(
        primary_hue="indigo",
        neutral_hue="slate",
        font=["system-ui", "-apple-system", "Segoe UI", "sans-serif"],
        font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
    )
    return {
        "theme": theme,
        "css_paths": STYLE,
        "footer_links": ["settings"],
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
    }


def _samples_tab(demo: Demo) -> tuple[gr.Dropdown, gr.State]:
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
            controls = _controls()
        with gr.Column(scale=2, min_width=420):
            results = _results(demo, first.samples[0].reasoning, "sample")

    def turn(source: str, page: Page, step: int) -> tuple[Page, dict[str, Any]]:
        found = demo.library.page(source, page.number + step if step else 1)
        return found, gr.Radio(choices=_choices(found), value=0 if found.samples else None, label=_place(found))

    def show(page: Page, row: int | None) -> tuple[str, str]:
        if row is None:
            return markup.note("There is nothing in it."), ""
        sample = page.samples[row]
        return markup.problem(sample.question, sample.answer), sample.reasoning

    for event, step in ((source.input, 0), (back.click, -1), (forth.click, 1)):
        turned = event(
            _guarded(lambda source, page, step=step: turn(source, page, step)),
            [source, page],
            [page, rows],
            show_progress="hidden",
            api_visibility="private",
        )
        turned.then(_guarded(show), [page, rows], [question, picked], api_visibility="private")
    rows.input(_guarded(show), [page, rows], [question, picked], show_progress="hidden", api_visibility="private")
    gr.on(
        [picked.change, *(control.change for control in controls)],
        _guarded(demo.compress),
        [picked, *controls],
        results,
        api_visibility="private",
        **_LIVE,
    )
    return source, picked


def _custom_tab(demo: Demo) -> gr.Textbox:
    with gr.Row():
        with gr.Column(scale=1, min_width=320):
            text = _text_box("custom-text")
            controls = _controls()
        with gr.Column(scale=2, min_width=420):
            results = _results(demo, PRESETS[0].reasoning, "custom")
    gr.on(
        [text.change, *(control.change for control in controls)],
        _guarded(demo.compress),
        [text, *controls],
        results,
        api_name="compress",
        **_LIVE,
    )
    return text


def _compare_tab(demo: Demo) -> gr.Textbox:
    with gr.Row():
        with gr.Column(scale=1):
            text = _text_box("compare-text")
        with gr.Column(scale=1):
            controls = _controls()
    columns = gr.HTML(demo.compare(PRESETS[0].reasoning, 0.5, RatioOf.ENCODER_WORDS, ()), elem_id="compare-columns")
    gr.on(
        [text.change, *(control.change for control in controls)],
        _guarded(demo.compare),
        [text, *controls],
        columns,
        api_name="compare",
        **_LIVE,
    )
    return text


def _why_tab(demo: Demo, tab: gr.Tab) -> gr.Textbox:
    with gr.Row():
        text = _text_box("why-text")
        ratio = _ratio_slider()
    causes = gr.HTML(elem_id="why-causes")
    inputs = [text, ratio]
    # While its tab is not open, another text costs nothing here.
    tab.select(_guarded(demo.explain), inputs, causes, show_progress="hidden", api_visibility="private")
    gr.on([text.input, ratio.change], _guarded(demo.explain), inputs, causes, api_name="explain", **_LIVE)
    return text


def _playground_tab(demo: Demo, page: gr.Blocks) -> None:
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
            standard = gr.Dropdown(label="Standard model", elem_id="standard-model")
            dual = gr.Dropdown(label="Dual model", elem_id="dual-model")
            ratio = _ratio_slider()
            tokens = gr.Slider(16, MAX_NEW_TOKENS, 256, step=16, label="New tokens, at most")
    stage = gr.HTML(
        markup.note("Each model writes one token a step. Point at a block of latent ids to read what they stand for."),
        elem_id="stage",
    )
    running = gr.on(
        [start.click, question.submit],
        _guarded_stream(demo.play),
        [question, ratio, tokens, standard, dual],
        stage,
        api_name="play",
        show_progress="hidden",
        concurrency_limit=2,
    )
    stop.click(None, cancels=running, api_visibility="private")
    numbers = gr.State(7)
    another.click(_another_question, numbers, [numbers, question], show_progress="hidden", api_visibility="private")
    page.load(lambda: [_offered(demo.shelf, kind) for kind in Kind], None, [standard, dual], api_visibility="private")


def _another_question(number: int) -> tuple[int, str]:
    return number + 1, generate_problem("test", number + 1, difficulty=1 + number % 3).question


def _offered(shelf: ModelShelf, kind: Kind) -> dict[str, Any]:
    names = shelf.names(kind)
    return gr.Dropdown(choices=names, value=names[0])


def _text_box(element: str) -> gr.Textbox:
    return gr.Textbox(
        PRESETS[0].reasoning,
        label="Chain of thought",
        info=f"at most {MAX_CHARACTERS:,} characters",
        lines=8,
        max_lines=16,
        elem_id=element,
    )


def _ratio_slider() -> gr.Slider:
    return gr.Slider(0.05, 1.0, 0.5, step=0.01, label="Ratio: share of the tokens to keep")


def _controls() -> tuple[gr.Slider, gr.Radio, gr.CheckboxGroup]:
    return (
        _ratio_slider(),
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


def _options(ratio_of: str, keeps: Sequence[str]) -> SelectionOptions:
    return SelectionOptions(ratio_of=RatioOf(ratio_of), **dict.fromkeys(keeps, True))


def _choices(page: Page) -> list[tuple[str, int]]:
    return [(sample.title, row) for row, sample in enumerate(page.samples)]


def _place(page: Page) -> str:
    return f"Chain of thought (page {page.number} of {page.pages}, {page.total:,} in all)"


def _guarded(answer: Callable[..., Any]) -> Callable[..., Any]:
    """What a user can mend becomes one message on the page; anything else stays an error with its traceback."""

    @wraps(answer)
    def guarded(*values: Any) -> Any:
        try:
            return answer(*values)
        except LatentError as error:
            raise _shown(error) from error

    return guarded


def _guarded_stream(answer: Callable[..., Iterator[str]]) -> Callable[..., Iterator[str]]:
    @wraps(answer)
    def guarded(*values: Any) -> Iterator[str]:
        try:
            yield from answer(*values)
        except LatentError as error:
            raise _shown(error) from error

    return guarded


def _shown(error: LatentError) -> gr.Error:
    return gr.Error(markup.escape(str(error)), title="That does not work", print_exception=False)
