"""Generation by any server with OpenAI's completions endpoint: bounded concurrency, retries, and a count of the cost.

Prompts are sent as token ids. vLLM's server returns the sampled ids (`return_token_ids`); where a server returns text
only, the ids are that text's under the model's own tokenizer, which can differ from what was sampled. The key is read
from OPENAI_API_KEY and is never part of a configuration.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latent_core.config.sampling import LogprobsOf, OpenAiConfig, SamplingConfig
from latent_core.dual.vocabulary import DualVocabulary
from latent_core.errors import InfrastructureError, InputError
from latent_core.generate.engine import Finished, FinishReason, Generation, Request, Usage
from latent_core.models.family import open_family

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger("latent")
KEY_VARIABLE = "OPENAI_API_KEY"
_SEED_BITS = 31  # the least that servers accept
_WORTH_A_RETRY = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_LONGEST_PAUSE = 60.0  # seconds
_PROBES = 4  # requests that may be asked for one token, to see whose log-probabilities a server gives


class OpenAiEngine:
    """Completions of the model that a server calls `options.served_model`; `model_dir` has its tokenizer.

    Raises InputError for a dual model behind a server that does not return ids, and for requests that it refuses;
    InfrastructureError when it cannot be reached after all retries.
    """

    def __init__(self, model_dir: Path, options: OpenAiConfig) -> None:
        self._options = options
        self._tokenizer, family = open_family(model_dir)
        self._stop_ids = sorted(family.stop_ids)
        self._end_of_turn = int(self._tokenizer.convert_tokens_to_ids(family.end_of_turn))
        self._is_dual = DualVocabulary.find(model_dir) is not None
        self._warned = False
        self._gives: LogprobsOf | None = None  # whose log-probabilities the server was seen to give
        self._prompt_tokens = 0
        self._completion_tokens = 0

    @property
    def usage(self) -> Usage:
        """What the server counted so far, and its price."""
        price = (
            self._prompt_tokens * self._options.prompt_price + self._completion_tokens * self._options.completion_price
        ) / 1e6
        return Usage(self._prompt_tokens, self._completion_tokens, price)

    def generate(
        self, requests: Sequence[Request], sampling: SamplingConfig, finished: Finished | None = None
    ) -> list[Generation]:
        return asyncio.run(self._generate(requests, sampling, finished)) if requests else []

    def close(self) -> None:
        """Nothing is held between calls."""

    async def _generate(
        self, requests: Sequence[Request], sampling: SamplingConfig, finished: Finished | None
    ) -> list[Generation]:
        import httpx

        slots = asyncio.Semaphore(self._options.concurrency)
        key = os.environ.get(KEY_VARIABLE)
        async with httpx.AsyncClient(
            base_url=self._options.base_url.rstrip("/") + "/",
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=self._options.timeout_seconds,
        ) as client:

            async def complete(index: int, request: Request) -> Generation:
                async with slots:
                    generation = self._read(await self._post(client, self._body(request, sampling)))
                if finished:
                    finished({index: generation})
                return generation

            if sampling.logprobs:
                await self._require_logprobs_of(client, requests, sampling)
            tasks = [asyncio.create_task(complete(index, request)) for index, request in enumerate(requests)]
            try:
                return await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()

    async def _require_logprobs_of(
        self, client: httpx.AsyncClient, requests: Sequence[Request], sampling: SamplingConfig
    ) -> None:
        """Raise InputError where the server's log-probabilities are not those that `sampling.logprobs_of` asks for."""
        if self._gives is None:
            self._gives = await self._seen_to_give(client, requests, sampling)
        if self._gives is not sampling.logprobs_of:
            other = "the model's" if self._gives is LogprobsOf.MODEL else "the sampler's"
            mode = "processed_logprobs" if self._gives is LogprobsOf.MODEL else "raw_logprobs"
            raise InputError(
                f"sampling.logprobs_of: is {sampling.logprobs_of}, but {self._options.base_url} gives {other} "
                f"log-probabilities; start it with --logprobs-mode {mode}, or set logprobs_of to {self._gives}"
            )

    async def _seen_to_give(
        self, client: httpx.AsyncClient, requests: Sequence[Request], sampling: SamplingConfig
    ) -> LogprobsOf:
        """Ask for one token that has no rival: under the sampler its log-probability is 0, under the model it is less.

        A server decides at its start which of the two it gives. A model may be sure of a token, so several are asked.
        """
        probe = sampling.model_copy(update={"temperature": 1.0, "top_k": 1, "top_p": 1.0, "max_new_tokens": 1})
        for request in requests[:_PROBES]:
            generation = self._read(await self._post(client, self._body(request, probe)))
            if generation.logprobs != (0.0,):
                return LogprobsOf.MODEL
        return LogprobsOf.SAMPLER

    def _body(self, request: Request, sampling: SamplingConfig) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._options.served_model,
            "prompt": list(request.prompt_ids),
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": request.seed >> (63 - _SEED_BITS),
        }
        if self._options.vllm_extensions:
            body |= {"return_token_ids": True, "stop_token_ids": self._stop_ids, "skip_special_tokens": False}
            if sampling.top_k:
                body["top_k"] = sampling.top_k
            if sampling.logprobs:
                body["logprobs"] = 0  # of the sampled token alone
            if self._is_dual:
                body["vllm_xargs"] = {"dual_vocab": int(request.constrained)}
        elif sampling.top_k:
            raise InputError(
                "sampling.top_k: is no part of OpenAI's interface; leave it 0 or set openai.vllm_extensions"
            )
        return body

    async def _post(self, client: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
        """The server's answer; tried again after failures of transport and of the server, with growing pauses."""
        import httpx

        failure = ""
        for attempt in range(self._options.retries + 1):
            pause = min(_LONGEST_PAUSE, 2.0**attempt * self._options.retry_seconds)
            try:
                response = await client.post("completions", json=body)
            except httpx.TransportError as error:
                failure = f"{type(error).__name__}: {error}"
            else:
                if response.is_success:
                    answer: dict[str, Any] = response.json()
                    return answer
                failure = f"HTTP {response.status_code}: {response.text[:300]}"
                if response.status_code not in _WORTH_A_RETRY:
                    raise InputError(f"sampling.openai: {self._options.base_url} refused the request ({failure})")
                asked = response.headers.get("Retry-After", "")
                pause = min(_LONGEST_PAUSE, float(asked)) if asked.isdecimal() else pause
            if attempt < self._options.retries:
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
        raise InfrastructureError(
            f"sampling.openai: {self._options.base_url} failed {self._options.retries + 1} times ({failure}); "
            "run the same thing again when it is back"
        )

    def _read(self, answer: dict[str, Any]) -> Generation:
        try:
            choice = answer["choices"][0]
            usage = answer.get("usage") or {}
            ids = choice.get("token_ids")
            text, reason = choice["text"], choice["finish_reason"]
        except (KeyError, IndexError, TypeError) as error:
            raise InputError(f"sampling.openai: {self._options.base_url} gave no completion: {answer}") from error
        if ids is None:
            if self._is_dual:
                raise InputError(
                    "sampling.openai: a dual model needs the sampled token ids; use a server that returns token_ids"
                )
            if not self._warned:
                logger.warning("%s returns text only: token ids are the tokenizer's", self._options.base_url)
                self._warned = True
            ids = self._tokenizer.encode(text, add_special_tokens=False)
            if reason == "stop":
                ids = [*ids, self._end_of_turn]
        logprobs = (choice.get("logprobs") or {}).get("token_logprobs")
        if logprobs is not None and len(logprobs) != len(ids):
            raise InputError(f"sampling.logprobs: {self._options.base_url} gave {len(logprobs)} for {len(ids)} tokens")
        finish: FinishReason = "length" if reason == "length" else "stop"
        self._prompt_tokens += int(usage.get("prompt_tokens", 0))
        self._completion_tokens += int(usage.get("completion_tokens", len(ids)))
        found = None if logprobs is None else tuple(float(value) for value in logprobs)
        return Generation(tuple(int(token) for token in ids), finish, found)
