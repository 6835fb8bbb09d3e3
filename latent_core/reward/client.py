"""The scorer's client. What cannot be scored raises: an error never becomes a reward."""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import httpx

from latent_core.errors import InfrastructureError, InputError
from latent_core.reward.scores import LOWEST, MALFORMED, Score, ScoreRequest, Status

URL_VARIABLE, TIMEOUT_VARIABLE = "SCORER_URL", "SCORER_TIMEOUT"
DEFAULT_URL = "http://127.0.0.1:8009"
DEFAULT_TIMEOUT = 120.0  # seconds
_WORTH_A_RETRY = frozenset({408, 429, 502, 503, 504})
_LONGEST_PAUSE = 30.0  # seconds
_ITEMS_A_CALL = 256


class ScorerClient:
    """Scores from the server at `url` (default: SCORER_URL, else 127.0.0.1:8009); used as a context manager.

    `timeout` in seconds a call (default: SCORER_TIMEOUT, else 120). Raises InputError for a malformed variable.
    """

    def __init__(
        self,
        url: str | None = None,
        timeout: float | None = None,
        *,
        retries: int = 4,
        pause_seconds: float = 0.5,
    ) -> None:
        self.url = (url or os.environ.get(URL_VARIABLE) or DEFAULT_URL).rstrip("/")
        self._retries, self._pause = retries, pause_seconds
        try:
            self._client = httpx.Client(base_url=self.url, timeout=_timeout() if timeout is None else timeout)
        except httpx.InvalidURL as error:
            raise InputError(f"{URL_VARIABLE}: {self.url!r} is no address ({error}); e.g. {DEFAULT_URL}") from error

    def __enter__(self) -> ScorerClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def health(self) -> dict[str, Any]:
        """What the server says of itself: model, dual, context, bounds."""
        answer: dict[str, Any] = self._call("GET", "/health", None)
        return answer

    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """A score for each request, in order.

        Raises InputError when the server refuses a request, InfrastructureError when it fails after all retries or
        answers what is no score.
        """
        found: list[Score] = []
        for start in range(0, len(requests), _ITEMS_A_CALL):
            block = requests[start : start + _ITEMS_A_CALL]
            items = [
                {
                    "prompt_token_ids": list(item.prompt_ids),
                    "completion_token_ids": list(item.completion_ids),
                    "gold": item.gold,
                }
                for item in block
            ]
            answer = self._call("POST", "/score_batch", {"items": items})
            scores = answer.get("items") if isinstance(answer, dict) else None
            if not isinstance(scores, list) or len(scores) != len(block):
                raise InfrastructureError(
                    f"scorer: {self.url} did not answer with {len(block)} scores: {answer!r:.200}"
                )
            found.extend(self._read(score) for score in scores)
        return found

    def _read(self, answer: Any) -> Score:
        try:
            score = Score(
                float(answer["score"]), Status(answer["status"]), str(answer["variant"]), int(answer["gold_tokens"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InfrastructureError(f"scorer: {self.url} gave no score: {answer!r:.200}") from error
        lawful = LOWEST <= score.score <= 0 if score.status is Status.SCORED else score.score == MALFORMED
        if not math.isfinite(score.score) or not lawful:
            raise InfrastructureError(f"scorer: {self.url} gave a score out of bounds: {answer!r:.200}")
        return score

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        failure = ""
        for attempt in range(self._retries + 1):
            if attempt:
                time.sleep(min(_LONGEST_PAUSE, self._pause * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0))
            try:
                response = self._client.request(method, path, json=body)
            except httpx.TransportError as error:
                failure = f"{type(error).__name__}: {error}"
                continue
            if response.is_success:
                try:
                    return response.json()
                except ValueError as error:
                    raise InfrastructureError(f"scorer: {self.url} answered no JSON: {response.text[:200]}") from error
            failure = f"HTTP {response.status_code}: {response.text[:300]}"
            if response.status_code in _WORTH_A_RETRY:
                continue
            if response.status_code < 500:
                raise InputError(f"scorer: {self.url} refused the request ({failure})")
            break  # the server itself is broken: asking again gives the same
        raise InfrastructureError(f"scorer: {self.url} failed ({failure}); look at its log, or set {URL_VARIABLE}")


def _timeout() -> float:
    text = os.environ.get(TIMEOUT_VARIABLE, str(DEFAULT_TIMEOUT))
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InputError(f"{TIMEOUT_VARIABLE}: {text!r} is no number of seconds; e.g. 120")
    return seconds
