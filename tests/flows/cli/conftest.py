"""The demo page as `latent demo-ui` serves it, in this process on a free port, with a small store behind it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from latent_core.store import ArtifactRef, ArtifactStore, begin
from tasks.tables import SAMPLES
from tests.support.graded import report_in, run_in

SAMPLE_COUNT = 11


def _sample(index: int) -> dict[str, object]:
    return {
        "question_id": f"q{index}",
        "sample_index": 0,
        "question": f"What is {index} + 1?",
        "gold": str(index + 1),
        "level": None,
        "prompt_token_ids": [1],
        "output_token_ids": [2],
        "finish_reason": "stop",
        "completion": "",
        "reasoning": f"Sample {index}: we take {index} and add 1 to {index}, so we get {index + 1} in the end.",
        "answer": str(index + 1),
        "verdict": "correct",
        "tokens": 30,
        "reasoning_tokens": 25,
        "latent_tokens": 0,
    }


@pytest.fixture(scope="session")
def demo_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page's address; its store holds one collect artifact of SAMPLE_COUNT samples, and a report of `run_in`."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("LATENT_CACHE", str(tmp_path_factory.mktemp("cache")))
    from flows.cli.demo_ui import open_demo
    from latent_core.ui.app import build_page, launch_options

    root = tmp_path_factory.mktemp("demo") / "store"
    with begin(ArtifactStore(root), ArtifactRef("collect", "a" * 64)) as out:
        with SAMPLES.write(out) as table:
            table.extend(map(_sample, range(SAMPLE_COUNT)))
        out.commit()
    parents = {f"evaluation/{one.key}": one.artifact.ref for one in run_in(root).evaluations}
    report_in(ArtifactStore(root), "A run", parents)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    page = build_page(open_demo(str(root), "latent-compressor", "latent-mini"))
    page.launch(server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True, **launch_options())
    yield f"http://127.0.0.1:{port}"
    page.close(verbose=False)
