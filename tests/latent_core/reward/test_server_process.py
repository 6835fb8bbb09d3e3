"""`latent scorer` as a process of its own: what is in flight when SIGTERM comes is answered, and then it ends, soon."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

PROMPT = "<|im_start|>user\nAnn has 3 apples and buys 4.<|im_end|>\n<|im_start|>assistant\n<think>\n"


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its address; the kernel picks the port, the log names it."""
    command = [sys.executable, "-m", "flows.cli", "scorer", "--model", "latent-mini", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            lines = []
            for line in process.stderr:
                lines.append(line)
                if found := re.search(r"running on (http://127\.0\.0\.1:\d+)", line):
                    yield process, found[1]
                    break
            else:
                pytest.fail(f"the server did not start:\n{''.join(lines)}")
        finally:
            process.kill()


def test_sigterm_answers_the_request_that_is_being_scored_and_ends_the_process(
    server: tuple[subprocess.Popen[str], str],
) -> None:
    process, url = server
    items = [{"prompt": PROMPT, "completion": f"{i} {'so ' * 150}</think>", "gold": "7"} for i in range(16)]
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(httpx.post, f"{url}/score_batch", json={"items": items}, timeout=300)
        while "latent_scorer_batch_size_count 1.0" not in httpx.get(f"{url}/metrics", timeout=60).text:
            assert not pending.done(), "it was answered before its batch was seen; make it larger"
        process.send_signal(signal.SIGTERM)
        answer = pending.result()
    assert answer.status_code == 200
    assert [item["status"] for item in answer.json()["items"]] == ["scored"] * 16
    assert process.wait(60) == 128 + signal.SIGTERM
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")


def test_sigterm_ends_the_process_within_seconds_whatever_is_in_flight(
    server: tuple[subprocess.Popen[str], str],
) -> None:
    process, url = server
    items = [{"prompt": PROMPT, "completion": f"{i} {'so ' * 600}</think>", "gold": "7"} for i in range(1024)]
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(httpx.post, f"{url}/score_batch", json={"items": items}, timeout=300)
        while "latent_scorer_batch_size_count 1.0" not in httpx.get(f"{url}/metrics", timeout=60).text:
            assert not pending.done(), "it was answered before its batch was seen; make it larger"
        told = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
        assert time.monotonic() - told < 20  # 5 on an idle machine; all of it would take minutes
        answer = pending.result()
    assert (answer.status_code, answer.json()["detail"][0]["msg"]) == (503, "the server is shutting down")
    assert process.stderr is not None
    said = process.stderr.read()
    assert "Traceback" not in said and said.endswith("ended by SIGTERM\n")
