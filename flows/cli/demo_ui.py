"""`latent demo-ui`: the compression demo and the playground as a page on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from latent_core.errors import InputError
from latent_core.store import ArtifactStore

if TYPE_CHECKING:
    from gradio import Blocks

    from latent_core.config.runtime import TrackingConfig
    from latent_core.ui.catalog import Offer
    from latent_core.ui.demo import Demo


def serve(
    store: str, compressor: str, model: str, host: str, port: int, share: bool, tracking: TrackingConfig | None = None
) -> None:
    """Open the page at host and port until it is interrupted.

    Raises InputError when the extra `ui` is not installed, and when the port is taken.
    """
    require_gradio("demo-ui")
    from latent_core.ui.app import build_page

    launch(build_page(open_demo(store, compressor, model, tracking)), host, port, share)


def require_gradio(command: str) -> None:
    """Raises InputError when the extra `ui` is not installed."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise InputError(f"{command}: needs gradio; install the extra, pip install 'latent-reasoning[ui]'") from error


def launch(page: Blocks, host: str, port: int, share: bool) -> None:
    """Serve a page until it is interrupted. Raises InputError for a port that cannot be had."""
    import gradio

    from latent_core.ui.app import launch_options

    try:
        page.launch(server_name=host, server_port=port, share=share, **launch_options())
    except OSError as error:
        raise InputError(f"port: {port} on {host} cannot be used ({error}); give another with --port") from error
    finally:
        gradio.close_all(verbose=False)


def open_demo(store: str, compressor: str, model: str, tracking: TrackingConfig | None = None) -> Demo:
    """What the page stands on: the compressor, the counting tokenizer, the store's samples and models.

    With `tracking` the models are also called as MLflow's registry calls them.

    Raises InputError for a model or compressor that cannot be found.
    """
    from flows.cli.model_names import names_in
    from flows.cli.sample_sources import sample_browser
    from latent_core.compress import ScoringOptions, check_scores_texts, open_compressor
    from latent_core.models import tokens
    from latent_core.models.family import load_tokenizer
    from latent_core.ui.catalog import ModelCatalog, base_offers, stored_offers
    from latent_core.ui.compression import CompressionCache
    from latent_core.ui.demo import Demo
    from latent_core.ui.samples import SampleLibrary
    from tasks.build_dual import build_dual
    from tasks.grpo import train_policy
    from tasks.tables import SAMPLES
    from tasks.tracking.models import model_directory
    from tasks.train import train

    check_scores_texts(compressor, "--compressor")
    opened = ArtifactStore(store)
    directory = model_directory(model, opened)
    tokenizer = load_tokenizer(directory)
    cache = CompressionCache(
        open_compressor(compressor, ScoringOptions(spans=True), "--compressor"),
        lambda text: len(tokens.encode(text, tokenizer)),
    )

    def offers() -> list[Offer]:
        names = names_in(opened, tracking)
        trained = stored_offers(opened, (train.name, train_policy.name), names)
        return [*trained, *base_offers(model, directory), *stored_offers(opened, (build_dual.name,), names)]

    library = SampleLibrary(opened, SAMPLES.file)
    return Demo(cache, Path(model).name, library, ModelCatalog(offers), sample_browser(opened))
