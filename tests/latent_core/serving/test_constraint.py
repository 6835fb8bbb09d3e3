"""The constraint against vLLM's own classes: V1's batch updates, V2's abstract interface, the names the plugin adds."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from latent_core.dual import DualVocabulary, Phase, PhaseMachine

pytest.importorskip("vllm")

from vllm import SamplingParams
from vllm.sampling_params import StructuredOutputsParams
from vllm.v1.sample.logits_processor import BatchUpdate, MoveDirectionality
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcessor, LogitsProcRequestState

from latent_core.errors import InputError
from latent_core.serving import constraint, constraint_v2
from latent_core.serving.constraint import DualConstraint
from latent_core.serving.constraint_v2 import DualConstraintV2

VOCABULARY = DualVocabulary(10, (1, 2, 3, 4, 5), think_start_id=8, think_end_id=9, eos_ids=(0,))
FORBIDDEN = torch.from_numpy(~PhaseMachine(VOCABULARY).allowed)
CPU = torch.device("cpu")


def config(
    *, dual: bool = True, named: bool = True, additional: dict[str, Any] | None = None, in_reasoning: bool = False
) -> Any:
    """As much of vLLM's configuration as the processors read."""
    hf_config = SimpleNamespace(**({"dual_vocab": VOCABULARY.to_json()} if dual else {}))
    model = SimpleNamespace(hf_config=hf_config, model="nowhere", logits_processors=["x:Y"] if named else None)
    return SimpleNamespace(
        model_config=model,
        additional_config=additional or {},
        speculative_config=None,
        structured_outputs_config=SimpleNamespace(enable_in_reasoning=in_reasoning),
    )


def update(removed: Any = (), added: Any = (), moved: Any = ()) -> BatchUpdate:
    return BatchUpdate(batch_size=2, removed=removed, added=added, moved=moved)


def phases_of(logits: torch.Tensor) -> list[Phase]:
    hidden = logits == float("-inf")
    return [next(phase for phase in Phase if torch.equal(row, FORBIDDEN[phase])) for row in hidden]


def zeros(rows: int) -> torch.Tensor:
    return torch.zeros(rows, VOCABULARY.size)


def test_v1_removes_then_adds_then_moves() -> None:
    processor = DualConstraint(config(), CPU, False)
    params = SamplingParams()
    processor.update_state(update(added=[(0, params, [8], []), (1, params, [8, 9], [])]))
    assert phases_of(processor.apply(zeros(2))) == [Phase.THINK, Phase.ANSWER]
    off = SamplingParams(extra_args={"dual_vocab": False})
    # Row 0 leaves, a new request takes it, and both change places.
    processor.update_state(update(removed=[0], added=[(0, off, [2], [])], moved=[(0, 1, MoveDirectionality.SWAP)]))
    assert phases_of(processor.apply(zeros(2))) == [Phase.ANSWER, Phase.PLAIN]
    processor.update_state(update(removed=[0], moved=[(1, 0, MoveDirectionality.UNIDIRECTIONAL)]))
    assert phases_of(processor.apply(zeros(1))) == [Phase.PLAIN]


def test_v1_reads_the_live_output_list_when_it_applies() -> None:
    processor, output = DualConstraint(config(), CPU, False), [-1]
    processor.update_state(update(added=[(0, SamplingParams(), [8], output)]))
    output[-1] = 9  # vLLM fills the newest token in after update_state
    assert phases_of(processor.apply(zeros(1))) == [Phase.ANSWER]


def test_v1_takes_the_engines_defaults() -> None:
    processor = DualConstraint(config(additional={"dual_vocab": {"end_bias": 3.0}}), CPU, False)
    own = SamplingParams(extra_args={"end_bias": 0.5})
    processor.update_state(update(added=[(0, SamplingParams(), [8], []), (1, own, [8], [])]))
    assert processor.apply(zeros(2))[:, VOCABULARY.think_end_id].tolist() == [3.0, 0.5]


@pytest.mark.parametrize("processor", [DualConstraint, DualConstraintV2])
def test_bad_option_is_a_value_error_before_the_request_is_queued(processor: Any) -> None:
    with pytest.raises(ValueError, match=r"extra_args\.dual_vocab"):
        processor.validate_params(SamplingParams(extra_args={"dual_vocab": "perhaps"}))
    processor.validate_params(SamplingParams())


@pytest.mark.parametrize("processor", [DualConstraint, DualConstraintV2])
def test_grammar_of_another_backend_and_prompt_logprobs_are_refused_by_name(processor: Any) -> None:
    params = SamplingParams(structured_outputs=StructuredOutputsParams(json_object=True))
    for backend, is_taken in (("xgrammar", True), ("outlines", False), ("guidance", False)):
        params.structured_outputs._backend = backend
        with nullcontext() if is_taken else pytest.raises(ValueError, match=rf"structured outputs: .*{backend}"):
            processor.validate_params(params)
    with pytest.raises(ValueError, match="prompt_logprobs"):
        processor.validate_params(SamplingParams(prompt_logprobs=0))


def test_grammar_that_shall_hold_in_reasoning_is_refused_when_the_server_starts() -> None:
    state = LogitsProcRequestState(CPU, 1, VOCABULARY.size, None, None, None, None)
    with pytest.raises(InputError, match="enable_in_reasoning"):
        DualConstraint(config(in_reasoning=True), CPU, False)
    with pytest.raises(InputError, match="enable_in_reasoning"):
        DualConstraintV2(config(in_reasoning=True), state)
    DualConstraint(config(dual=False, in_reasoning=True), CPU, False)


def test_plain_model_is_left_alone() -> None:
    processor = DualConstraint(config(dual=False, named=False), CPU, False)
    processor.update_state(update(added=[(0, SamplingParams(), [8], [])]))
    assert torch.equal(processor.apply(zeros(1)), zeros(1))


def test_dual_model_without_the_named_processor_raises() -> None:
    with pytest.raises(InputError, match="logits_processors"):
        DualConstraint(config(named=False), CPU, False)


def test_vocabulary_is_found_in_the_directory_when_the_config_has_none(tmp_path: Path) -> None:
    VOCABULARY.save(tmp_path)
    model = SimpleNamespace(hf_config=SimpleNamespace(), model=str(tmp_path))
    assert constraint.vocabulary_of(model) == VOCABULARY
    assert constraint.vocabulary_of(SimpleNamespace(hf_config=SimpleNamespace(), model="nowhere")) is None


def test_v2_is_complete_and_follows_slots_through_a_step() -> None:
    tokens = SimpleNamespace(gpu=torch.tensor([[8, 2, 0], [8, 9, 2], [2, 2, 0]]))
    state = LogitsProcRequestState(CPU, 3, VOCABULARY.size, tokens, None, None, None)
    processor = DualConstraintV2(config(), state)
    assert isinstance(processor, LogitsProcessor)
    off = SamplingParams(extra_args={"dual_vocab": False})
    assert all(
        processor.add_request(slot, params) for slot, params in enumerate([SamplingParams(), SamplingParams(), off])
    )
    processor.apply_staged_writes()

    def step(slots: list[int], fed: list[int], lengths: list[int]) -> list[Phase]:
        mapping = torch.tensor(slots, dtype=torch.int32)
        context = LogitsContext(
            expanded_idx_mapping=mapping,
            idx_mapping=mapping,
            idx_mapping_np=np.array(slots),
            expanded_local_pos=torch.zeros(len(slots)),
            input_ids=torch.tensor(fed),
            pos=torch.tensor(lengths) - 1,
            seq_lens_upper_bound_np=np.array(lengths),
        )
        return phases_of(processor.apply(zeros(len(slots)), context))

    assert step([2, 0, 1], [2, 2, 2], [2, 2, 3]) == [Phase.PLAIN, Phase.THINK, Phase.ANSWER]
    assert step([1, 0], [2, 9], [4, 3]) == [Phase.ANSWER, Phase.ANSWER]


def test_v2_of_another_version_or_with_speculation_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    state = LogitsProcRequestState(CPU, 1, VOCABULARY.size, None, None, None, None)
    speculating = config()
    speculating.speculative_config = object()
    with pytest.raises(InputError, match="speculative_config"):
        DualConstraintV2(speculating, state)
    monkeypatch.setattr(constraint_v2, "WRITTEN_FOR", "0.31")
    with pytest.raises(InputError, match="VLLM_USE_V2_MODEL_RUNNER=0"):
        DualConstraintV2(config(), state)


def test_plugin_registers_its_names_and_may_be_called_twice() -> None:
    from vllm.reasoning import ReasoningParserManager
    from vllm.tokenizers.registry import TokenizerRegistry

    from latent_core.serving.plugin import register

    register()
    register()
    assert TokenizerRegistry.load_tokenizer_cls("dual").__name__ == "DualTokenizer"
    assert ReasoningParserManager.get_reasoning_parser("dual").__name__ == "DualReasoningParser"
