"""The demo page's answers over HTTP, as its own components get them."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from html import unescape
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from latent_core.compress import ScoringOptions, open_compressor
from latent_core.errors import InputError

TEXT = "First we add 12 and 7, and 12 and 7 make 19. Then we take 4 away from 19, so we get 15."


@pytest.fixture(scope="module")
def client(demo_address: str) -> Iterator[object]:
    from gradio_client import Client

    client = Client(demo_address, verbose=False, httpx_kwargs={"timeout": 60})
    yield client
    client.close()


def _plain(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", " ", html))


def test_page_compresses_as_latent_compress_does_and_counts_both_tokenizers(client):
    shown, heat, result = client.predict(TEXT, 0.5, "encoder_words", [], api_name="/compress")
    compressor = open_compressor("latent-compressor", ScoringOptions(spans=True))
    expected = compressor.compress([TEXT], [0.5], count_target=_mini_tokens)[0][0.5]
    assert _plain(result).strip() == expected.text
    assert f"{expected.encoder_tokens_after} of {expected.encoder_tokens_before}" in shown
    assert f"{expected.target_tokens_after} of {expected.target_tokens_before}" in shown
    assert "<del>" in shown and heat.count("class='heat'") > 20


def test_page_keeps_what_it_is_told_to_keep(client):
    result = client.predict(TEXT, 0.1, "encoder_words", ["keep_numbers"], api_name="/compress")[2]
    assert re.findall(r"\d+", _plain(result)) == re.findall(r"\d+", TEXT)


def test_page_slider_costs_no_encoder_pass(client):
    passes = []
    for text, ratio in [("a new text", 0.5), ("a new text", 0.4), ("a new text", 0.9), ("a newer text", 0.9)]:
        html = client.predict(text, ratio, "encoder_words", [], api_name="/compare")
        passes.append(int(re.search(r"server started: (\d+)", html)[1]))
    assert [value - passes[0] for value in passes] == [0, 0, 0, 1]


def test_page_explains_the_rate_of_the_text_it_is_given(client):
    text = _plain(client.predict(TEXT, 0.3, api_name="/explain"))
    for title in ("threshold, not top-k", "Every window", "Two tokenizers", "do not cancel"):
        assert title in text
    assert "percentile 71" in text and "latent-mini" in text


def test_page_streams_both_models_and_reads_latents(client):
    question = "Sam keeps 39 balls in a crate. Later Amy takes 10 of them away. How many balls are left with Sam?"
    steps = list(client.submit(question, 0.5, 32, "latent-mini", "dual of latent-mini", api_name="/play"))
    tokens = [[int(count) for count in re.findall(r"<b>(\d+)</b> tokens", step)] for step in steps]
    assert tokens[0] == [0, 0] and tokens[-1] == [32, 32] and len(steps) > 10
    last = steps[-1]
    assert last.count("cut at the limit") == 2 and "not trained" in last
    plain = re.search(r"<div class='text reasoning'>(.*?)</div>", last, re.DOTALL)[1]
    decoded = re.search(r"<div class='decoded text'>(.*?)</div>", last, re.DOTALL)[1]
    assert decoded == plain and len(re.findall(r"<i>\d+</i>", last)) == 32


@pytest.mark.parametrize(
    ("text", "message"),
    [("  ", "text: it is empty"), ("<b>" * 7_000, "text: 21,000 characters; the page takes at most")],
)
def test_page_says_what_is_wrong_with_a_text_in_one_message(client, text, message):
    shown, heat, result = client.predict(text, 0.5, "encoder_words", [], api_name="/compress")
    assert "class='error'" in shown and message in _plain(shown)
    assert (heat, result) == ("", "")


def test_page_answers_twenty_requests_at_once_each_with_its_own_text(client):
    texts = [f"Session {number} adds {number} and {number}, which makes {2 * number}." for number in range(20)]
    jobs = [client.submit(text, 1.0, "encoder_words", [], api_name="/compress") for text in texts]
    assert [_plain(job.result(timeout=60)[2]).strip() for job in jobs] == texts


def test_page_loads_nothing_from_elsewhere(demo_address):
    with urllib.request.urlopen(demo_address) as answer:
        page = answer.read().decode()
    loaded = re.findall(r"<(?:script|link|img|iframe)[^>]*?(?:src|href)=\"([^\"]+)\"", page)
    assert loaded and all(urlsplit(address).netloc in ("", urlsplit(demo_address).netloc) for address in loaded)
    assert "fonts.googleapis" not in page and '"analytics_enabled":false' in page.replace(" ", "")


def test_demo_ui_on_a_taken_port_says_so(demo_address, tmp_path):
    port = urlsplit(demo_address).port
    arguments = ["demo-ui", "--port", str(port), "--store", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, InputError) and f"port: {port}" in str(result.exception)


def test_demo_ui_of_an_unknown_model_says_so(tmp_path):
    result = CliRunner().invoke(app, ["demo-ui", "--model", "/nowhere/at/all", "--store", str(tmp_path)])
    assert isinstance(result.exception, InputError) and "/nowhere/at/all" in str(result.exception)


def _mini_tokens(text: str) -> int:
    from latent_core.models.family import load_tokenizer
    from latent_core.models.source import open_model
    from latent_core.models.tokens import encode

    return len(encode(text, load_tokenizer(open_model("latent-mini").directory)))
