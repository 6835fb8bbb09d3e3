"""Structured outputs of a dual model: a grammar holds in the answer, and the reasoning before it stays free.

vLLM builds a grammar for `response_format`, `structured_outputs`, and tools that a request requires. It does so from a
tokenizer that it knows, which a dual model's is not, and it lets the grammar begin with the first token where a request
hides its reasoning; in a think phase that allows visible ids the constraint then leaves no id at all. Here the grammar
is built from the wrapped tokenizer, in which no latent id has a text and so none can match, and begins where the prompt
says that an answer does.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from vllm.v1.structured_output import StructuredOutputManager
from vllm.v1.structured_output.backend_xgrammar import XgrammarBackend

from latent_core.dual.constraint import Phase, PhaseMachine
from latent_core.errors import InputError
from latent_core.serving.tokenizer import DualTokenizer

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import VllmConfig
    from vllm.v1.request import Request

BACKEND = "xgrammar"
"""The one that knows how many ids a model has beyond its tokenizer's."""


def install() -> None:
    """Let vLLM's manager prepare the requests of a dual model; those of others are left alone. May be called twice."""
    original = StructuredOutputManager.grammar_init
    if hasattr(original, "__wrapped__"):
        return

    @wraps(original)
    def grammar_init(manager: StructuredOutputManager, request: Request) -> None:
        prepare(manager, request)
        original(manager, request)

    StructuredOutputManager.grammar_init = grammar_init


def prepare(manager: Any, request: Request) -> None:
    """Give the manager a grammar backend, and the request the place where its answer begins, for a dual model."""
    tokenizer = getattr(manager, "tokenizer", None)
    asked = request.structured_output_request
    if asked is None or not isinstance(tokenizer, DualTokenizer):
        return
    if manager.backend is None:
        width = manager.vllm_config.model_config.get_vocab_size()
        manager.backend = XgrammarBackend(manager.vllm_config, tokenizer=tokenizer.visible, vocab_size=width)
    if manager.reasoner_cls is None:
        from latent_core.serving.reasoning_parser import DualReasoningParser

        manager.reasoner_cls = DualReasoningParser
    asked.reasoning_ended = begins_with_answer(tokenizer, request.prompt_token_ids or [])


def begins_with_answer(tokenizer: DualTokenizer, prompt_ids: list[int]) -> bool:
    """Whether what follows the prompt is no reasoning: its think mark is closed, or it has none and opens none."""
    phase = PhaseMachine(tokenizer.dual_vocabulary).phase_of_prompt(prompt_ids)
    return phase is Phase.ANSWER or (phase is Phase.START and not tokenizer.names_ratio_first)


def check_request(params: SamplingParams) -> None:
    """Raise `InputError` for a grammar that would need another backend, and for log-probabilities of the prompt.

    vLLM calls it once it has chosen a backend, and answers with HTTP 400.
    """
    grammar = params.structured_outputs
    if grammar is not None and grammar._backend not in (None, BACKEND):
        raise InputError(
            f"structured outputs: a dual model takes those that {BACKEND} can hold to, and vLLM would need "
            f"{grammar._backend} for these; leave out what is special in the schema (patternProperties, say)"
        )
    if params.prompt_logprobs is not None:
        raise InputError(
            "prompt_logprobs (and echo with logprobs): a dual model has none, since the server would spread them over "
            "visible and latent ids together; leave it out, or ask latent scorer"
        )


def check_server(vllm_config: VllmConfig) -> None:
    """Raise `InputError` for a server whose grammars shall hold in reasoning, where no visible id is allowed."""
    if vllm_config.structured_outputs_config.enable_in_reasoning:
        raise InputError(
            "structured_outputs_config.enable_in_reasoning: a dual model reasons in latent ids; leave it off"
        )
