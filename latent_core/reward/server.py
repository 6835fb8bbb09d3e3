"""The scorer over HTTP: POST /score, POST /score_batch, GET /health, GET /metrics (Prometheus), GET /docs.

Status codes: 413 for a body over the limit, 422 for a request that cannot be scored (the message names the field), 503
when too much waits or the server shuts down, 504 when a score took too long, 500 for damaged weights. SIGTERM stops new
connections, answers what is in flight, with 503 what takes longer than `ServerLimits.shutdown_seconds`, and ends.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from latent_core.errors import InputError, LatentError
from latent_core.models import tokens
from latent_core.reward.batcher import Batcher, Overloaded
from latent_core.reward.docs_page import docs_page
from latent_core.reward.scorer import Scorer
from latent_core.reward.scores import LOWEST, MALFORMED, Score, ScoreRequest, Status

logger = logging.getLogger("latent")
_LONGEST_TEXT = 1_000_000  # characters
_LONGEST_IDS = 262_144
TokenId = Annotated[int, Field(ge=0, lt=1 << 31, strict=True)]
Text = Annotated[str, Field(max_length=_LONGEST_TEXT)]
Ids = Annotated[list[TokenId], Field(max_length=_LONGEST_IDS)]


@dataclass(frozen=True)
class ServerLimits:
    """What one client may ask of the server."""

    body_bytes: int = 16 << 20
    waiting: int = 4_096  # completions in the queue
    timeout_seconds: float = 100.0  # less than the client's 120, so that the client hears why
    shutdown_seconds: float = 2.5  # for what is in flight at SIGTERM; whoever sent that may wait 5 s, and then kills


class ScoreBody(BaseModel):
    """One completion: prompt and completion each as text or, better, as the token ids that were sampled."""

    model_config = ConfigDict(extra="forbid")

    prompt: Text | None = None
    prompt_token_ids: Ids | None = None
    completion: Text | None = None
    completion_token_ids: Ids | None = None
    latent: Annotated[bool, Field(strict=True, description="Read a completion's text as latent thinking")] = False
    gold: Annotated[str, Field(min_length=1, max_length=10_000)]

    @model_validator(mode="after")
    def _one_form(self) -> ScoreBody:
        for name in ("prompt", "completion"):
            given = [getattr(self, field) is not None for field in (name, f"{name}_token_ids")]
            if sum(given) != 1:
                raise ValueError(f"{name} or {name}_token_ids: give exactly one of them")
        if self.latent and self.completion is None:
            raise ValueError("latent: is for a completion given as text; ids are what they are")
        return self


class BatchBody(BaseModel):
    """Several completions, scored together."""

    model_config = ConfigDict(extra="forbid")

    items: Annotated[list[ScoreBody], Field(min_length=1, max_length=1_024)]


class ScoreAnswer(BaseModel):
    """`score` is finite: in [LOWEST, 0] when `status` is scored, else MALFORMED."""

    score: float
    status: Status
    variant: str
    gold_tokens: int


class BatchAnswer(BaseModel):
    """Answers in the order of the items."""

    items: list[ScoreAnswer]


class Bounds(BaseModel):
    lowest: float = LOWEST
    malformed: float = MALFORMED


class Health(BaseModel):
    """Who answers: a client checks that it is the model it means."""

    status: str
    model: str
    dual: bool
    context: int
    bounds: Bounds


class _Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        self.requests = Counter("latent_scorer_requests", "HTTP requests", ["path", "code"], registry=own)
        self.seconds = Histogram("latent_scorer_request_seconds", "Time to answer a request", ["path"], registry=own)
        self.scores = Counter("latent_scorer_completions", "Completions by outcome", ["status"], registry=own)
        self.batch = Histogram(
            "latent_scorer_batch_size", "Completions a batch", buckets=(1, 2, 4, 8, 16, 32, 64, 128), registry=own
        )
        self.waiting = Gauge("latent_scorer_waiting", "Completions in the queue", registry=own)


def create_app(scorer: Scorer, model: str, limits: ServerLimits = ServerLimits()) -> FastAPI:
    """The application around a loaded scorer; `model` is the name it reports. Its lifespan ends the scorer's thread."""
    metrics = _Metrics()

    def answer(bodies: Sequence[ScoreBody]) -> list[Score | Exception]:
        read = [_read_or_error(body, scorer) for body in bodies]
        scores = iter(scorer.score([item for item in read if isinstance(item, ScoreRequest)]))
        return [next(scores) if isinstance(item, ScoreRequest) else item for item in read]

    batcher: Batcher[ScoreBody, Score] = Batcher(answer, capacity=limits.waiting, observe=metrics.batch.observe)
    metrics.waiting.set_function(lambda: batcher.waiting)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(batcher.close)

    async def scores_of(bodies: Sequence[ScoreBody]) -> list[ScoreAnswer]:
        futures = [asyncio.wrap_future(future) for future in batcher.submit(bodies)]
        found = await asyncio.wait_for(asyncio.gather(*futures), limits.timeout_seconds)
        for score in found:
            metrics.scores.labels(score.status.value).inc()
        return [ScoreAnswer(**vars(score)) for score in found]

    # FastAPI's own pages load their scripts from elsewhere.
    app = FastAPI(title="Latent scorer", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.batcher = batcher
    app.add_middleware(_BodyLimit, limit=limits.body_bytes)
    _answer_errors(app, limits)

    @app.middleware("http")
    async def measured(request: Request, call_next: Any) -> Response:
        started = time.monotonic()
        response: Response = await call_next(request)
        known = request.url.path in _PATHS
        path = request.url.path if known else "other"  # a label a client could choose would grow without bound
        metrics.requests.labels(path, str(response.status_code)).inc()
        metrics.seconds.labels(path).observe(time.monotonic() - started)
        return response

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi()))

    @app.get("/health")
    async def health() -> Health:
        """Which model answers, and the bounds of its scores."""
        dual = scorer.readable.vocabulary is not None
        return Health(status="ok", model=model, dual=dual, context=scorer.context, bounds=Bounds())

    @app.get("/metrics", response_class=PlainTextResponse)
    async def exposition() -> Response:
        """Prometheus metrics, as text."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.post("/score", responses=_RESPONSES)
    async def score(body: ScoreBody) -> ScoreAnswer:
        """Score one completion: mean log-probability of the gold answer after it, in nats a token."""
        return (await scores_of([body]))[0]

    @app.post("/score_batch", responses=_RESPONSES)
    async def score_batch(body: BatchBody) -> BatchAnswer:
        """Score several completions together, answered in their order."""
        return BatchAnswer(items=await scores_of(body.items))

    return app


_PATHS = ("/health", "/metrics", "/score", "/score_batch")
_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body is no JSON"},
    413: {"description": "The body is over the limit"},
    500: {"description": "The model is damaged"},
    503: {"description": "Too much waits"},
    504: {"description": "The score took too long"},
}


def serve(model_dir: Path, model: str, host: str, port: int) -> None:
    """Load the model and answer until SIGTERM or Ctrl-C.

    Raises InputError for a port that cannot be had, before the model is loaded, and for a model that cannot score.
    """
    import uvicorn

    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        raise InputError(f"port: {port} on {host} cannot be used ({error}); give another with --port") from error
    limits = ServerLimits()
    app = create_app(Scorer(model_dir), model, limits)

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            super().handle_exit(sig, frame)
            timer = threading.Timer(limits.shutdown_seconds, app.state.batcher.abandon)
            timer.daemon = True
            timer.start()

    # asyncio's own loop: uvloop takes over the signals' file descriptor, which `latent` watches.
    Server(uvicorn.Config(app, host=host, port=port, loop="asyncio")).run()


def _read_or_error(body: ScoreBody, scorer: Scorer) -> ScoreRequest | InputError:
    """What to score, or why not: one bad request must not fail the batch that it shares with others."""
    try:
        request = _read(body, scorer)
        scorer.check(request)
    except InputError as error:
        return error
    return request


def _read(body: ScoreBody, scorer: Scorer) -> ScoreRequest:
    if body.prompt_token_ids is not None:
        prompt = tuple(body.prompt_token_ids)
    else:
        prompt = tuple(tokens.encode(body.prompt or "", scorer.readable.tokenizer))
    if body.completion_token_ids is not None:
        return ScoreRequest(prompt, tuple(body.completion_token_ids), body.gold)
    return ScoreRequest(prompt, scorer.encode_completion(body.completion or "", latent=body.latent), body.gold)


def _answer_errors(app: FastAPI, limits: ServerLimits) -> None:
    """One shape for all: `detail` is a list of {loc, msg, type}, as FastAPI has it for its own."""

    def refusal(status: int, message: str, loc: Sequence[Any] = (), kind: str = "error") -> JSONResponse:
        return JSONResponse({"detail": [{"loc": list(loc), "msg": message, "type": kind}]}, status)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # Without the input, which may be large, and hold what JSON cannot say (a lone surrogate, NaN).
        found = [
            {"loc": [_writable(part) for part in item["loc"]], "msg": _writable(item["msg"]), "type": item["type"]}
            for item in error.errors()
        ]
        return JSONResponse({"detail": found}, 422)

    @app.exception_handler(InputError)
    async def unusable(_: Request, error: InputError) -> JSONResponse:
        field = str(error).partition(":")[0]
        return refusal(422, str(error), ("body", field), "value_error")

    @app.exception_handler(Overloaded)
    async def overloaded(_: Request, error: Overloaded) -> JSONResponse:
        response = refusal(503, str(error))
        response.headers["Retry-After"] = "1"
        return response

    @app.exception_handler(TimeoutError)
    async def too_slow(_: Request, error: TimeoutError) -> JSONResponse:
        return refusal(504, f"no score within {limits.timeout_seconds:g} s; ask for less at once")

    @app.exception_handler(LatentError)
    async def failed(_: Request, error: LatentError) -> JSONResponse:
        logger.error("scoring failed: %s", error)
        return refusal(500, str(error))


def _writable(part: Any) -> Any:
    return part.encode("utf-8", "replace").decode("utf-8") if isinstance(part, str) else part


class _BodyLimit:
    """Refuses a body that is announced, or turns out, to be larger than `limit` bytes."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        messages: list[Message] = []
        size = int(announced) if announced.isdigit() else 0
        if size <= self._limit and scope["method"] == "POST":
            size = 0
            while size <= self._limit:
                message = await receive()
                messages.append(message)
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    break
        if size > self._limit:
            text = f"the body is over {self._limit:,} bytes; send less at once"
            detail = {"detail": [{"loc": ["body"], "msg": text, "type": "too_large"}]}
            await JSONResponse(detail, 413)(scope, receive, send)
            return
        read = iter(messages)

        async def replay() -> Message:
            return next(read, None) or await receive()

        await self._app(scope, replay, send)
