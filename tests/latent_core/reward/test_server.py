"""The scorer over HTTP: batches, refusals, limits, metrics, shutdown; and the client's retries and checks."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from latent_core.errors import InfrastructureError, InputError, StageFailed
from latent_core.reward.batcher import Batcher, Overloaded
from latent_core.reward.client import ScorerClient
from latent_core.reward.scorer import Scorer
from latent_core.reward.scores import MALFORMED, Score, ScoreRequest, Status
from latent_core.reward.server import ServerLimits, create_app

PROMPT = "<|im_start|>user\nAnn has 3 apples and buys 4.<|im_end|>\n<|im_start|>assistant\n<think>\n"
BODY = {"prompt": PROMPT, "completion": "3 + 4 = 7</think>", "gold": "7"}


class Gate:
    """A scorer that holds every batch until it is opened, and remembers the sizes."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self.entered, self.opened = threading.Event(), threading.Event()
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scorer, name)

    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        self.sizes.append(len(requests))
        self.entered.set()
        assert self.opened.wait(30)
        return self._scorer.score(requests)


def _request(scorer: Scorer, completion: str, gold: str = "7") -> ScoreRequest:
    prompt = tuple(scorer.readable.tokenizer.encode(PROMPT, add_special_tokens=False))
    return ScoreRequest(prompt, scorer.encode_completion(completion, latent=False), gold)


def test_docs_describe_every_path_and_load_nothing_from_elsewhere(scorer: Scorer) -> None:
    with TestClient(create_app(scorer, "mini")) as client:
        page = client.get("/docs")
        assert [client.get(path).status_code for path in ("/redoc", "/openapi.json")] == [404, 200]
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    for words in ("POST /score<", "POST /score_batch<", "GET /health<", "GET /metrics<", "items[].gold", "503"):
        assert words in page.text
    assert "list of integer" in page.text and "<script" not in page.text and "//" not in page.text


def test_text_ids_and_batches_give_the_scorers_own_score(scorer: Scorer) -> None:
    request = _request(scorer, BODY["completion"])
    (expected,) = scorer.score([request])
    ids = {"prompt_token_ids": request.prompt_ids, "completion_token_ids": request.completion_ids, "gold": "7"}
    with TestClient(create_app(scorer, "mini")) as client:
        by_text, by_ids = client.post("/score", json=BODY).json(), client.post("/score", json=ids).json()
        batch = client.post("/score_batch", json={"items": [BODY, BODY | {"completion": "3 + 4"}]}).json()["items"]
        health = client.get("/health").json()
    for found in (by_text, by_ids, batch[0]):
        assert found["score"] == pytest.approx(expected.score, abs=1e-5)
    assert batch[1] == {"score": MALFORMED, "status": "no_think_end", "variant": "", "gold_tokens": 0}
    assert health["status"] == "ok" and health["dual"] is False and health["bounds"]["malformed"] == MALFORMED


def test_requests_that_wait_together_are_scored_together(scorer: Scorer, run: Callable[[FastAPI], Any]) -> None:
    gate = Gate(scorer)
    running = run(create_app(gate, "mini"))
    bodies = [BODY | {"completion": f"{index} apples</think>"} for index in range(9)]
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(httpx.post, f"{running.url}/score", json=bodies[0], timeout=60)
        assert gate.entered.wait(30)
        rest = [pool.submit(httpx.post, f"{running.url}/score", json=body, timeout=60) for body in bodies[1:]]
        while "waiting 8.0" not in httpx.get(f"{running.url}/metrics", timeout=60).text:
            pass
        gate.opened.set()
        found = [future.result().json()["score"] for future in [first, *rest]]
    assert gate.sizes == [1, 8]
    expected = [score.score for score in scorer.score([_request(scorer, body["completion"]) for body in bodies])]
    assert found == pytest.approx(expected, abs=1e-4)


def test_shutdown_answers_what_is_in_flight(scorer: Scorer, run: Callable[[FastAPI], Any]) -> None:
    gate = Gate(scorer)
    running = run(create_app(gate, "mini"))
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(httpx.post, f"{running.url}/score", json=BODY, timeout=60)
        assert gate.entered.wait(30)
        running.server.should_exit = True
        gate.opened.set()
        assert pending.result().status_code == 200
    running.thread.join(30)
    assert not running.thread.is_alive()
    with pytest.raises(httpx.ConnectError):
        httpx.post(f"{running.url}/score", json=BODY)


def test_one_bad_request_does_not_fail_the_others(scorer: Scorer, run: Callable[[FastAPI], Any]) -> None:
    gate = Gate(scorer)
    gate.opened.set()
    running = run(create_app(gate, "mini"))
    bodies = [BODY, BODY | {"completion": None, "completion_token_ids": [10**6]}, BODY]
    with ThreadPoolExecutor(3) as pool:
        codes = list(
            pool.map(lambda body: httpx.post(f"{running.url}/score", json=body, timeout=60).status_code, bodies)
        )
    assert codes == [200, 422, 200]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "gold"),
        (BODY | {"gold": " "}, "gold"),
        (BODY | {"prompt": None}, "prompt"),
        (BODY | {"prompt_token_ids": [1]}, "prompt"),
        (BODY | {"prompt": ""}, "prompt"),
        (BODY | {"latent": True}, "latent"),
        (BODY | {"prompt": None, "prompt_token_ids": [-1]}, "prompt_token_ids"),
        (BODY | {"prompt": None, "prompt_token_ids": [999_999]}, "prompt_token_ids"),
        (BODY | {"completion": "a " * 3000 + "</think>"}, "completion"),
        (BODY | {"gold": "\ud800"}, "gold"),
        (BODY | {"golden": "7"}, "golden"),
    ],
)
def test_unusable_requests_are_422_and_name_the_field(scorer: Scorer, body: dict[str, Any], field: str) -> None:
    with TestClient(create_app(scorer, "mini")) as client:
        response = client.post("/score", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    (found, *_) = response.json()["detail"]
    assert field in found["loc"] or found["msg"].removeprefix("Value error, ").startswith(field)


def test_limits_of_body_queue_and_time(scorer: Scorer) -> None:
    gate = Gate(scorer)
    limits = ServerLimits(body_bytes=1000, waiting=2, timeout_seconds=0.05)
    with TestClient(create_app(gate, "mini", limits)) as client:
        assert client.post("/score", json=BODY | {"prompt": "a" * 1000}).status_code == 413
        assert client.post("/score", content=(b"a" * 300 for _ in range(9))).status_code == 413
        small = {"prompt": "a", "completion": "b", "gold": "7"}
        full = client.post("/score_batch", json={"items": [small] * 3})
        assert full.status_code == 503 and full.headers["Retry-After"] == "1"
        assert client.post("/score", json=BODY).status_code == 504
        gate.opened.set()
        metrics = client.get("/metrics").text
    assert 'latent_scorer_requests_total{code="413",path="/score"} 2.0' in metrics
    assert 'latent_scorer_requests_total{code="504",path="/score"} 1.0' in metrics


def test_damaged_model_is_an_error_and_never_a_score(scorer: Scorer, run: Callable[[FastAPI], Any]) -> None:
    class Broken(Gate):
        def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
            raise StageFailed("model: its logits are not finite")

    running = run(create_app(Broken(scorer), "mini"))
    with ScorerClient(running.url, retries=0) as client, pytest.raises(InfrastructureError, match="not finite"):
        client.score([_request(scorer, "3</think>")])


def test_client_scores_in_order_and_refusals_are_not_tried_again(
    scorer: Scorer, run: Callable[[FastAPI], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = run(create_app(scorer, "mini"))
    monkeypatch.setenv("SCORER_URL", running.url)
    requests = [_request(scorer, "3 + 4 = 7</think>"), _request(scorer, ""), _request(scorer, "5</think>", "12")]
    with ScorerClient() as client:
        found = client.score(requests)
        with pytest.raises(InputError, match="gold"):
            client.score([_request(scorer, "3</think>", "")])
    assert [score.status for score in found] == [Status.SCORED, Status.EMPTY, Status.SCORED]
    assert [score.score for score in found] == pytest.approx([one.score for one in scorer.score(requests)], abs=1e-4)


def _client(answers: list[httpx.Response], **options: Any) -> ScorerClient:
    client = ScorerClient("http://scorer", pause_seconds=0.001, **options)
    client._client = httpx.Client(
        base_url="http://scorer", transport=httpx.MockTransport(lambda request: answers.pop(0))
    )
    return client


def _answer(**changes: Any) -> httpx.Response:
    item = {"score": -1.5, "status": "scored", "variant": "7", "gold_tokens": 1} | changes
    return httpx.Response(200, content=json.dumps({"items": [item]}))


REQUEST = ScoreRequest((1,), (2,), "7")


def test_client_tries_again_when_the_server_is_busy() -> None:
    answers = [httpx.Response(503), httpx.Response(504), _answer()]
    assert _client(answers).score([REQUEST])[0].score == -1.5
    with pytest.raises(InfrastructureError, match="503"):
        _client([httpx.Response(503)] * 3, retries=2).score([REQUEST])


@pytest.mark.parametrize(
    "changes",
    [{"score": float("nan")}, {"score": 3.0}, {"score": -25.0}, {"score": 0.0, "status": "empty"}, {"status": "fine"}],
)
def test_client_takes_no_unlawful_score(changes: dict[str, Any]) -> None:
    with pytest.raises(InfrastructureError, match="score"):
        _client([_answer(**changes)]).score([REQUEST])
    with pytest.raises(InfrastructureError, match="1 scores"):
        _client([httpx.Response(200, json={"items": []})]).score([REQUEST])


def test_server_that_is_not_there_and_wrong_variables_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InfrastructureError, match="ConnectError"):
        ScorerClient("http://127.0.0.1:9", retries=0).score([REQUEST])
    monkeypatch.setenv("SCORER_TIMEOUT", "soon")
    with pytest.raises(InputError, match="SCORER_TIMEOUT"):
        ScorerClient()


def test_batcher_answers_what_waits_when_it_closes_and_then_refuses() -> None:
    batcher: Batcher[int, int] = Batcher(lambda items: [item * 2 for item in items])
    futures = batcher.submit([1, 2, 3])
    batcher.close()
    assert [future.result(0) for future in futures] == [2, 4, 6]
    with pytest.raises(Overloaded):
        batcher.submit([4])
