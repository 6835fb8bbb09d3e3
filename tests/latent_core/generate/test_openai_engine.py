"""The OpenAI engine against a server of the test's own: order, concurrency, retries, refusals, cost, the key."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from latent_core.config.sampling import LogprobsOf, OpenAiConfig, SamplingConfig
from latent_core.dual import build_dual
from latent_core.errors import InfrastructureError, InputError
from latent_core.generate.engine import Generation, Request
from latent_core.generate.openai_engine import OpenAiEngine
from latent_core.identity import fingerprint
from latent_core.models.source import open_model

Answer = tuple[int, dict[str, Any]]
MINI = open_model("latent-mini").directory


class Server:
    """Answers each request with `answer(body)`; remembers bodies, headers, and how many were in flight at once."""

    def __init__(self, answer: Callable[[dict[str, Any]], Answer]) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.most_at_once = 0
        now = 0
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                nonlocal now
                with lock:
                    now += 1
                    outer.most_at_once = max(outer.most_at_once, now)
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.bodies.append(body)
                outer.keys.append(self.headers["Authorization"])
                status, content = answer(body)
                with lock:
                    now -= 1
                raw = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(answer: Callable[[dict[str, Any]], Answer]) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def _echo(body: dict[str, Any]) -> Answer:
    """The prompt's last id, twice."""
    time.sleep(0.02)
    ids = [body["prompt"][-1]] * 2
    usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": 2}
    return 200, {"choices": [{"text": "x", "token_ids": ids, "finish_reason": "stop"}], "usage": usage}


def _engine(url: str, model_dir: Path = MINI, **options: Any) -> OpenAiEngine:
    settings = {"served_model": "m", "base_url": url, "retry_seconds": 0.01, **options}
    return OpenAiEngine(model_dir, OpenAiConfig.model_validate(settings))


def test_completions_are_in_order_bounded_in_flight_and_counted(serve: Callable[..., Server]) -> None:
    server = serve(_echo)
    engine = _engine(server.url, concurrency=3, prompt_price=2.0, completion_price=10.0)
    seen: dict[int, Generation] = {}
    requests = [Request((1, number), seed=number) for number in range(2, 14)]
    found = engine.generate(requests, SamplingConfig(max_new_tokens=9), seen.update)
    assert [generation.token_ids for generation in found] == [(number, number) for number in range(2, 14)]
    assert 1 < server.most_at_once <= 3
    assert [seen[place] for place in range(12)] == found
    assert engine.usage.prompt_tokens == 24 and engine.usage.completion_tokens == 24
    assert engine.usage.cost == pytest.approx((24 * 2 + 24 * 10) / 1e6)
    assert {body["max_tokens"] for body in server.bodies} == {9}
    assert len({body["seed"] for body in server.bodies}) == 1  # the low bits of these small seeds are cut off


def test_seeds_keep_their_high_bits(serve: Callable[..., Server]) -> None:
    server = serve(_echo)
    _engine(server.url).generate([Request((1,), seed=(5 << 32) + 1)], SamplingConfig())
    assert server.bodies[0]["seed"] == 5


def test_failures_of_the_server_are_tried_again(serve: Callable[..., Server]) -> None:
    answers = iter([(503, {}), (429, {}), _echo({"prompt": [7]})])
    server = serve(lambda body: next(answers))
    (generation,) = _engine(server.url).generate([Request((7,), 1)], SamplingConfig())
    assert generation.token_ids == (7, 7) and len(server.bodies) == 3


def test_server_that_stays_down_is_an_infrastructure_error(serve: Callable[..., Server]) -> None:
    server = serve(lambda body: (500, {"error": "boom"}))
    with pytest.raises(InfrastructureError, match=r"failed 3 times.*boom"):
        _engine(server.url, retries=2).generate([Request((7,), 1)], SamplingConfig())
    with pytest.raises(InfrastructureError, match="ConnectError"):
        _engine("http://127.0.0.1:9/v1", retries=0).generate([Request((7,), 1)], SamplingConfig())


def test_refused_request_is_not_tried_again_and_says_why(serve: Callable[..., Server]) -> None:
    server = serve(lambda body: (400, {"message": "no such model"}))
    with pytest.raises(InputError, match="no such model"):
        _engine(server.url).generate([Request((7,), 1)], SamplingConfig())
    assert len(server.bodies) == 1


def test_server_without_ids_gives_the_texts_ids_but_not_for_a_dual_model(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    text = "The final answer is: 12"
    server = serve(lambda body: (200, {"choices": [{"text": text, "finish_reason": "stop"}]}))
    engine = _engine(server.url)
    (generation,) = engine.generate([Request((7,), 1)], SamplingConfig())
    tokenizer = engine._tokenizer
    assert tokenizer.decode(generation.token_ids) == text + tokenizer.eos_token
    dual = build_dual(MINI, tmp_path / "dual").directory
    with pytest.raises(InputError, match="dual model needs the sampled token ids"):
        _engine(server.url, dual).generate([Request((7,), 1)], SamplingConfig())


def test_logprobs_are_asked_for_and_must_be_as_many_as_tokens(serve: Callable[..., Server]) -> None:
    given = [-0.5, -0.25]

    def answer(body: dict[str, Any]) -> Answer:
        status, content = _echo(body)
        if is_probe := body["max_tokens"] == 1:
            content["choices"][0]["token_ids"] = [7]
        content["choices"][0]["logprobs"] = {"token_logprobs": [-0.5] if is_probe else given}
        return status, content

    server = serve(answer)
    sampling = SamplingConfig(engine="openai", openai=OpenAiConfig(served_model="m"), logprobs=True)
    (generation,) = _engine(server.url).generate([Request((7,), 1)], sampling)
    assert (server.bodies[0]["logprobs"], generation.logprobs) == (0, (-0.5, -0.25))
    given.pop()
    with pytest.raises(InputError, match=r"sampling\.logprobs: .* gave 1 for 2 tokens"):
        _engine(server.url).generate([Request((7,), 1)], sampling)


def test_samplers_logprobs_are_taken_from_a_server_that_is_seen_to_give_them_and_from_no_other(
    serve: Callable[..., Server],
) -> None:
    """Of one token without rivals the sampler's log-probability is 0, the model's is not."""

    def answer(body: dict[str, Any]) -> Answer:
        ids = [body["prompt"][-1]] * min(2, body["max_tokens"])
        alone = processed if body.get("top_k") == 1 else -0.5
        choice = {"text": "x", "token_ids": ids, "finish_reason": "stop"}
        return 200, {"choices": [choice | {"logprobs": {"token_logprobs": [alone] * len(ids)}}]}

    server = serve(answer)
    openai = OpenAiConfig(served_model="m")
    sampling = SamplingConfig(
        engine="openai", openai=openai, temperature=0.7, logprobs=True, logprobs_of=LogprobsOf.SAMPLER
    )
    processed = -0.25
    with pytest.raises(InputError, match=r"sampling\.logprobs_of: .*--logprobs-mode processed_logprobs"):
        _engine(server.url).generate([Request((7,), 1)], sampling)
    assert len(server.bodies) == 1
    processed = 0.0
    engine = _engine(server.url)
    for _ in range(2):
        (generation,) = engine.generate([Request((7,), 1)], sampling)
        assert generation.logprobs == (-0.5, -0.5)
    of_model = sampling.model_copy(update={"logprobs_of": LogprobsOf.MODEL})
    with pytest.raises(InputError, match=r"logprobs_of: is model, .* the sampler's .*--logprobs-mode raw_logprobs"):
        engine.generate([Request((7,), 1)], of_model)
    assert [(body["temperature"], body.get("top_k")) for body in server.bodies[1:]] == [
        (1.0, 1),
        (0.7, None),
        (0.7, None),
    ]


def test_server_whose_model_is_sure_of_one_first_token_is_not_taken_for_one_that_gives_the_samplers(
    serve: Callable[..., Server],
) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        ids = [body["prompt"][-1]]
        choice = {"text": "x", "token_ids": ids, "finish_reason": "stop"}
        return 200, {"choices": [choice | {"logprobs": {"token_logprobs": [0.0 if ids == [7] else -0.5]}}]}

    sampling = SamplingConfig(engine="openai", openai=OpenAiConfig(served_model="m"), logprobs=True)
    generations = _engine(serve(answer).url).generate([Request((7,), 1), Request((8,), 1)], sampling)
    assert [generation.logprobs for generation in generations] == [(0.0,), (-0.5,)]


def test_logprobs_are_refused_where_the_sampled_tokens_are_not_known() -> None:
    with pytest.raises(ValueError, match=r"logprobs: .*openai\.vllm_extensions"):
        SamplingConfig(engine="openai", openai=OpenAiConfig(served_model="m", vllm_extensions=False), logprobs=True)


def test_key_comes_from_the_environment(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(_echo)
    monkeypatch.setenv("OPENAI_API_KEY", "canary")
    _engine(server.url).generate([Request((7,), 1)], SamplingConfig())
    assert server.keys == ["Bearer canary"]
    assert "canary" not in json.dumps(server.bodies)


def test_identity_has_the_served_model_and_not_the_address() -> None:
    def identity(**options: Any) -> str:
        sampling = {"engine": "openai", "openai": {"served_model": "m", **options}}
        return fingerprint("sampling", 1, SamplingConfig.model_validate(sampling), {})

    assert identity(base_url="http://a") == identity(base_url="http://b")
    assert identity() != identity(served_model="n")
    here, elsewhere = SamplingConfig(), SamplingConfig(openai=OpenAiConfig(served_model="x"))
    assert fingerprint("sampling", 1, here, {}) == fingerprint("sampling", 1, elsewhere, {})
    with pytest.raises(ValueError, match="served_model"):
        SamplingConfig(engine="openai")
