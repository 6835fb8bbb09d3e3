"""`latent view`: a page on this machine that browses the samples of runs and evaluations."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from flows.cli.artifacts import open_store
from flows.cli.demo_ui import launch, require_gradio
from latent_core.ui.browser import Link


def view(words: Sequence[str], store: str, host: str, port: int) -> None:
    """Open the page at host and port until it is interrupted. Loads no model.

    Raises InputError for what has no samples, when the extra `ui` is not installed, and when the port is taken.
    """
    from flows.cli.sample_sources import sample_browser

    require_gradio("view")
    browser = sample_browser(open_store(store), words)
    shown = browser.show(Link())
    from latent_core.ui.browser_tab import viewer_page

    typer.echo(f"{shown.run.title}: http://{host}:{port}/{shown.link.query()}")
    launch(viewer_page(browser), host, port, share=False)
