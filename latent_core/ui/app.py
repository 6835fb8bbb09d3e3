"""The page as a whole: its tabs, how a text wanders from one to the others, and how it is launched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from latent_core.ui.browser import Link
from latent_core.ui.browser_tab import SAMPLES_TAB, browser_tab
from latent_core.ui.demo import Demo
from latent_core.ui.messages import guarded
from latent_core.ui.playground_tab import playground_tab
from latent_core.ui.tabs import compare_tab, custom_tab, samples_tab, why_tab

STYLE = Path(__file__).with_name("page.css")


def build_page(demo: Demo) -> gr.Blocks:
    """The Blocks of the page; `launch_options` has what they are launched with."""
    page: gr.Blocks
    with gr.Blocks(title="Latent reasoning: compression demo", analytics_enabled=False) as page:
        gr.HTML(
            "<header><h1>How short can reasoning get?</h1><p>A compressor scores every word of a chain of thought "
            "once; a ratio then decides which words stay. Models trained on the result reason in fewer "
            "tokens.</p></header>"
        )
        with gr.Tabs() as tabs:
            with gr.Tab("Compression"):
                pick, picked = samples_tab(demo)
            with gr.Tab("Custom text"):
                custom = custom_tab(demo)
            with gr.Tab("Ratios side by side"):
                compared = compare_tab(demo)
            with gr.Tab("Why is the actual rate not my target?") as why:
                explained = why_tab(demo, why)
            with gr.Tab("Samples", id=SAMPLES_TAB) as samples:
                browser_tab(demo.browser, page, samples)
            with gr.Tab("Playground"):
                playground_tab(demo, page)
        texts = [custom, compared, explained]
        picked.change(lambda text: [text] * len(texts), picked, texts, show_progress="hidden", api_visibility="private")
        page.load(guarded(lambda: gr.Dropdown(choices=demo.library.sources())), None, pick, api_visibility="private")

        def follow(request: gr.Request) -> Any:
            """Opens the tab that the address leads to."""
            return gr.skip() if Link.of(dict(request.query_params)) == Link() else gr.Tabs(selected=SAMPLES_TAB)

        page.load(follow, None, tabs, show_progress="hidden", api_visibility="private")
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
        "footer_links": [],
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
    }
