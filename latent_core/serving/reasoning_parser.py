"""A dual model behind vLLM's OpenAI-compatible server: reasoning and answer apart, both readable.

    latent serve DUAL_MODEL_DIR

The name `dual` comes with this package's entry point in the group `vllm.general_plugins`.

A chat completion's `message.reasoning` is the latent reasoning, read through the latents' sources; `message.content`
is the answer. `"include_reasoning": false` in the request hides the former; `"vllm_xargs": {"dual_vocab": 0}` switches
the constraint off; `"return_token_ids": true` shows the ids. The same works streamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from vllm.entrypoints.generate.base.protocol import DeltaMessage
from vllm.reasoning import ReasoningParser

from latent_core.dual.constraint import Phase, PhaseMachine
from latent_core.errors import InputError
from latent_core.serving.tokenizer import DualTokenizer

if TYPE_CHECKING:
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.entrypoints.openai.responses.protocol import ResponsesRequest


class DualReasoningParser(ReasoningParser):  # type: ignore[misc]  # vllm is untyped here
    """Splits a completion at the closing think token. One instance a request."""

    def __init__(self, tokenizer: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(tokenizer, *args, **kwargs)
        if not isinstance(tokenizer, DualTokenizer):
            raise InputError("--reasoning-parser dual: it needs a dual model and --tokenizer-mode dual")
        self._machine = PhaseMachine(tokenizer.dual_vocabulary)
        self._start, self._end = tokenizer.think_start, tokenizer.think_end
        self._phase = Phase.START

    @property
    def reasoning_start_str(self) -> str:
        return self._start

    @property
    def reasoning_end_str(self) -> str:
        return self._end

    def is_reasoning_end(self, input_ids: Sequence[int]) -> bool:
        return self._machine.phase_of_prompt(list(input_ids)) is Phase.ANSWER

    def is_reasoning_end_streaming(self, input_ids: Sequence[int], delta_ids: Iterable[int]) -> bool:
        return self._machine.vocabulary.think_end_id in delta_ids

    def extract_content_ids(self, input_ids: list[int]) -> list[int]:
        end = self._machine.vocabulary.think_end_id
        return input_ids[input_ids.index(end) + 1 :] if end in input_ids else []

    def count_reasoning_tokens(self, token_ids: Sequence[int]) -> int:
        """Latent tokens: a request without the constraint reasons in visible ones, which are not told apart here."""
        return int(self._machine.vocabulary.is_latent(list(token_ids)).sum())

    def extract_reasoning(
        self, model_output: str, request: ChatCompletionRequest | ResponsesRequest
    ) -> tuple[str | None, str | None]:
        """(reasoning, content). A prompt always opens the reasoning, so what has no end was cut inside it."""
        reasoning, end, content = model_output.partition(self._end)
        return reasoning.removeprefix(self._start), content if end and content else None

    def adjust_initial_state_from_prompt(self, prompt_token_ids: Sequence[int]) -> None:
        self._phase = self._machine.phase_of_prompt(list(prompt_token_ids))

    def extract_reasoning_streaming(
        self,
        previous_text: str,
        current_text: str,
        delta_text: str,
        previous_token_ids: Sequence[int],
        current_token_ids: Sequence[int],
        delta_token_ids: Sequence[int],
    ) -> DeltaMessage | None:
        before = self._phase
        for token in delta_token_ids:
            self._phase = self._machine.advance(self._phase, token)
        if before is Phase.ANSWER:
            return DeltaMessage(content=delta_text) if delta_text else None
        if self._phase is Phase.ANSWER:
            reasoning, _, content = delta_text.partition(self._end)
            return DeltaMessage(reasoning=reasoning or None, content=content or None) if reasoning or content else None
        text = delta_text.removeprefix(self._start) if before is Phase.START else delta_text
        return DeltaMessage(reasoning=text) if text else None
