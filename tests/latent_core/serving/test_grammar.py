"""Grammars of a dual model: visible ids alone match, and they hold from where the prompt says its answer begins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("vllm")

from vllm.sampling_params import StructuredOutputsParams
from vllm.v1.structured_output import StructuredOutputManager
from vllm.v1.structured_output.backend_types import StructuredOutputOptions
from vllm.v1.structured_output.request import StructuredOutputRequest

from latent_core.dual import DualVocabulary
from latent_core.serving import grammar
from latent_core.serving.reasoning_parser import DualReasoningParser
from latent_core.serving.tokenizer import DualTokenizer
from tests.latent_core.dual.conftest import make_tokenizer

PLAIN = object()


@pytest.fixture(scope="module")
def tokenizer() -> DualTokenizer:
    inner = make_tokenizer(think="plain")
    start, end = inner.convert_tokens_to_ids(["<think>", "</think>"])
    size = len(inner)
    mirrored = tuple(token for token in range(size) if token not in (start, end, inner.eos_token_id))
    return DualTokenizer(inner, DualVocabulary(size, mirrored, start, end, (inner.eos_token_id,)))


def manager_of(tokenizer: Any) -> Any:
    """As much of vLLM's manager as a grammar needs."""
    width = len(tokenizer) if isinstance(tokenizer, DualTokenizer) else 0
    model = SimpleNamespace(get_vocab_size=lambda: width, hf_config=SimpleNamespace(model_type="llama"))
    config = SimpleNamespace(
        model_config=model,
        speculative_config=None,
        structured_outputs_config=SimpleNamespace(disable_any_whitespace=False),
    )
    return SimpleNamespace(tokenizer=tokenizer, backend=None, reasoner_cls=None, vllm_config=config)


def request_of(prompt: list[int], reasoning_ended: bool | None = None) -> Any:
    asked = StructuredOutputRequest(StructuredOutputsParams(json_object=True), reasoning_ended=reasoning_ended)
    return SimpleNamespace(structured_output_request=asked, prompt_token_ids=prompt)


def prepared(tokenizer: DualTokenizer, prompt: list[int], reasoning_ended: bool | None = None) -> tuple[Any, Any]:
    manager, request = manager_of(tokenizer), request_of(prompt, reasoning_ended)
    grammar.prepare(manager, request)
    return manager, request.structured_output_request


def test_grammar_matches_visible_ids_alone_and_ends_with_the_stop_ids(tokenizer: DualTokenizer) -> None:
    manager, _ = prepared(tokenizer, [])
    vocabulary = tokenizer.dual_vocabulary
    (eos,) = vocabulary.eos_ids
    built = manager.backend.compile_grammar(StructuredOutputOptions.REGEX, "7 x|7", stop_token_ids={eos})
    mask = manager.backend.allocate_token_bitmask(1)
    allowed: list[list[int]] = []
    for token in (tokenizer.encode("7")[0], eos):
        built.fill_bitmask(mask, 0)
        bits = [bool(mask[0, index // 32] >> (index % 32) & 1) for index in range(vocabulary.size)]
        allowed.append([index for index, bit in enumerate(bits) if bit])
        assert built.accept_tokens("r", [token])
    assert built.is_terminated()
    assert all(token < vocabulary.visible_size for tokens in allowed for token in tokens)
    assert {tokenizer.decode([token])[0] for token in allowed[0]} == {"7"} and eos in allowed[1]


@pytest.mark.parametrize("claimed", [None, True, False])  # True: what vLLM says of include_reasoning: false
def test_grammar_begins_where_the_prompt_says_that_the_answer_does(
    tokenizer: DualTokenizer, claimed: bool | None
) -> None:
    start, end = tokenizer.dual_vocabulary.think_ids
    word = tokenizer.encode("7")[0]
    for prompt, begun in (([start], False), ([start, word, end, word], True), ([start, end, word, start], False)):
        assert prepared(tokenizer, prompt, claimed)[1].reasoning_ended is begun
    assert prepared(tokenizer, [word], claimed)[1].reasoning_ended is True  # a text that opens no reasoning


def test_grammar_of_a_model_that_names_its_ratio_first_waits_for_its_reasoning(tokenizer: DualTokenizer) -> None:
    echoing = DualTokenizer(tokenizer.visible, tokenizer.dual_vocabulary)
    echoing.names_ratio_first = True
    assert prepared(echoing, tokenizer.encode("7"))[1].reasoning_ended is False


def test_server_without_a_reasoning_parser_waits_for_the_answer_too(tokenizer: DualTokenizer) -> None:
    assert prepared(tokenizer, [])[0].reasoner_cls is DualReasoningParser


def test_requests_of_other_models_and_without_grammar_are_left_alone(tokenizer: DualTokenizer) -> None:
    manager, request = manager_of(PLAIN), request_of([1], True)
    grammar.prepare(manager, request)
    assert manager.backend is None and request.structured_output_request.reasoning_ended is True
    manager = manager_of(tokenizer)
    grammar.prepare(manager, SimpleNamespace(structured_output_request=None, prompt_token_ids=[1]))
    assert manager.backend is None and manager.reasoner_cls is None


def test_install_prepares_before_vllm_does_and_wraps_once(
    tokenizer: DualTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        StructuredOutputManager, "grammar_init", lambda manager, request: seen.append(manager.backend is not None)
    )
    grammar.install()
    grammar.install()
    StructuredOutputManager.grammar_init(manager_of(tokenizer), request_of([]))
    assert seen == [True]


@pytest.mark.parametrize("text", ["café", "日本", "7 + 12"])
def test_token_strings_of_log_probabilities_are_those_of_the_sources(tokenizer: DualTokenizer, text: str) -> None:
    from vllm.tokenizers.detokenizer_utils import convert_ids_list_to_tokens

    visible = tokenizer.encode(text)
    latent = [int(token) for token in tokenizer.dual_vocabulary.to_latent(visible)]
    assert min(latent) >= tokenizer.dual_vocabulary.visible_size
    assert convert_ids_list_to_tokens(tokenizer, latent) == convert_ids_list_to_tokens(tokenizer.visible, visible)


def test_bitmask_of_a_dual_model_is_as_wide_as_its_logits(tokenizer: DualTokenizer) -> None:
    manager, _ = prepared(tokenizer, [])
    mask = manager.backend.allocate_token_bitmask(2)
    assert isinstance(mask, torch.Tensor) and mask.shape == (2, -(-tokenizer.dual_vocabulary.size // 32))
