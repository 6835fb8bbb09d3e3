"""The vLLM engine on the embedded model: what it refuses at once, and that it says what transformers says."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from latent_core import prompts
from latent_core.benchmarks.word_problems import generate_problem
from latent_core.config.collect import CollectConfig
from latent_core.config.sampling import LogprobsOf, SamplingConfig, VllmConfig, resolve_engine
from latent_core.dual import Phase, PhaseMachine, build_dual
from latent_core.errors import InputError
from latent_core.generate import vllm_engine
from latent_core.generate.engine import Generation, Request
from latent_core.generate.vllm_engine import VllmEngine, lora_rank
from latent_core.identity import fingerprint
from latent_core.models import tokens
from latent_core.models.readable import ReadableModel
from latent_core.models.source import open_model

GREEDY = SamplingConfig(max_new_tokens=160)
SAMPLED = SamplingConfig(max_new_tokens=60, temperature=1.0, top_p=0.95)


@pytest.fixture(scope="module")
def dual_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model") / "dual"
    build_dual(open_model("latent-mini").directory, directory)
    return directory


def _requests(directory: Path, count: int = 9) -> list[Request]:
    """Every third has the dual vocabulary switched off."""
    model, requests = ReadableModel.load(directory), []
    for index in range(count):
        problem = generate_problem("test", index, difficulty=1 + index % 3)
        text = prompts.render_prompt(problem.question, model.tokenizer, model.family)
        ids = tuple(tokens.encode(text, model.tokenizer))
        requests.append(Request(ids, seed=1000 + index, constrained=index % 3 != 2))
    return requests


def test_auto_becomes_a_concrete_engine_before_anything_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latent_core.config.sampling.resolve_engine", lambda: "vllm")
    chosen = SamplingConfig(engine="auto")
    assert chosen.engine == "vllm"
    assert fingerprint("s", 1, chosen, {}) == fingerprint("s", 1, SamplingConfig(engine="vllm"), {})
    assert fingerprint("s", 1, chosen, {}) != fingerprint("s", 1, SamplingConfig(), {})
    assert CollectConfig.model_validate({"sampling": {"engine": "auto"}}).sampling.engine == "vllm"


def test_auto_without_vllm_is_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latent_core.config.sampling.find_spec", lambda name: None)
    assert resolve_engine() == "transformers"


def test_engine_options_are_no_identity_and_unset_ones_are_left_to_vllm() -> None:
    tuned = SamplingConfig(vllm=VllmConfig(max_num_seqs=4))
    assert fingerprint("s", 1, tuned, {}) == fingerprint("s", 1, SamplingConfig(), {})
    assert tuned.vllm.arguments() == {"max_num_seqs": 4}


def test_missing_vllm_names_the_way_out(dual_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_engine, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"engine: vllm is not installed.*transformers"):
        VllmEngine(dual_dir)


def test_prompts_that_do_not_fit_raise_before_the_engine_starts(
    dual_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_engine, "find_spec", lambda name: object())
    monkeypatch.setattr(VllmEngine, "_start", lambda *_: pytest.fail("started"))
    with pytest.raises(InputError, match="2 of 3 prompts do not fit its context of 1024"):
        VllmEngine(dual_dir).generate([Request((5,) * size, 0) for size in (9, 1024, 3000)], GREEDY)
    with pytest.raises(InputError, match=r"max_model_len: 100 is too short.*at least 169"):
        VllmEngine(dual_dir, options=VllmConfig(max_model_len=100)).generate([Request((5,) * 9, 0)], GREEDY)


def test_other_log_probabilities_are_a_new_start_and_none_are_not(
    dual_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_engine, "find_spec", lambda name: object())
    starts: list[LogprobsOf] = []
    engine = VllmEngine(dual_dir)

    def start(length: int) -> object:
        starts.append(engine._logprobs_of)
        return object()

    monkeypatch.setattr(engine, "_start", start)
    monkeypatch.setattr(engine, "close", lambda: None)
    monkeypatch.setattr(engine, "_run", lambda requests, sampling: iter([(0, Generation((1,), "stop"))]))
    model, sampler = (
        SamplingConfig(max_new_tokens=5, temperature=1.0, logprobs=True, logprobs_of=of) for of in LogprobsOf
    )
    for sampling in (SAMPLED, model, sampler, SAMPLED, sampler, model):
        engine.generate([Request((5,) * 9, 0)], sampling)
    assert starts == [LogprobsOf.MODEL, LogprobsOf.SAMPLER, LogprobsOf.MODEL]


def test_adapter_that_cannot_be_served_unmerged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"adapter_config\.json"):
        lora_rank(tmp_path)
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps({"r": 8, "trainable_token_indices": {"embed_tokens": [5]}}))
    with pytest.raises(InputError, match=r"trainable_token_indices.*merged model"):
        lora_rank(tmp_path)
    file.write_text(json.dumps({"r": 8, "use_dora": True}))
    with pytest.raises(InputError, match=r"DoRA.*merged model"):
        lora_rank(tmp_path)
    file.write_text(json.dumps({"r": 12}))
    assert lora_rank(tmp_path) == 16


needs_vllm = pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed")


# Closing any engine ends vLLM's process groups for all: tests with one of their own follow those that share this one.
@pytest.fixture(scope="module")
def engine(dual_dir: Path) -> Iterator[VllmEngine]:
    # A cache too small for all rows, so that requests are preempted and resumed.
    options = VllmConfig(max_num_batched_tokens=64, max_num_seqs=16, num_gpu_blocks_override=40)
    engine = VllmEngine(dual_dir, options=options)
    yield engine
    engine.close()


@needs_vllm
def test_greedy_equals_transformers_for_constrained_and_plain_requests(engine: VllmEngine, dual_dir: Path) -> None:
    from latent_core.generate.transformers_engine import TransformersEngine

    requests = _requests(dual_dir)
    assert engine.generate(requests, GREEDY) == TransformersEngine(dual_dir).generate(requests, GREEDY)


@needs_vllm
def test_logprobs_are_the_models_own_as_with_transformers(engine: VllmEngine, dual_dir: Path) -> None:
    from latent_core.generate.transformers_engine import TransformersEngine

    requests, sampling = _requests(dual_dir, 6), GREEDY.model_copy(update={"logprobs": True})
    other = TransformersEngine(dual_dir).generate(requests, sampling)
    for ours, theirs in zip(engine.generate(requests, sampling), other, strict=True):
        assert ours.token_ids == theirs.token_ids
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-3)


@needs_vllm
def test_sampled_completions_keep_their_phases_and_depend_on_their_own_seed(engine: VllmEngine, dual_dir: Path) -> None:
    vocabulary = ReadableModel.load(dual_dir).vocabulary
    assert vocabulary is not None
    machine, requests = PhaseMachine(vocabulary), _requests(dual_dir, 24)
    reported: dict[int, Generation] = {}
    together = engine.generate(requests, SAMPLED, reported.update)
    for request, generation in zip(requests, together, strict=True):
        start = None if request.constrained else Phase.PLAIN
        assert machine.violations(request.prompt_ids, generation.token_ids, start=start).size == 0
        assert len(generation.token_ids) == 60 or generation.finish_reason == "stop"
    assert [reported[place] for place in range(24)] == together
    assert engine.generate(requests[::-1], SAMPLED)[::-1] == together
    again = engine.generate([Request(requests[0].prompt_ids, seed) for seed in range(8)], SAMPLED)
    assert len({generation.token_ids for generation in again}) > 4


@needs_vllm
def test_adapter_that_changes_nothing_gives_the_completions_of_its_base(
    engine: VllmEngine, dual_dir: Path, tmp_path: Path
) -> None:
    requests = _requests(dual_dir)
    expected = engine.generate(requests, GREEDY)
    engine.close()
    adapter = _empty_adapter(dual_dir, tmp_path / "adapter")
    other = VllmEngine(dual_dir, adapter_dir=adapter)
    said = other.generate(requests, GREEDY)
    other.close()
    assert said == expected


def _empty_adapter(model_dir: Path, out: Path) -> Path:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_dir)
    get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")).save_pretrained(out)
    return out


@needs_vllm
def test_logprobs_of_the_sampler_are_those_of_the_transformers_engine_on_the_same_tokens(dual_dir: Path) -> None:
    from latent_core.generate.transformers_engine import TransformersEngine

    requests = _requests(dual_dir, 6)
    sampling = GREEDY.model_copy(update={"logprobs": True, "logprobs_of": LogprobsOf.SAMPLER})
    engine = VllmEngine(dual_dir)
    found = engine.generate(requests, sampling)
    engine.close()
    for ours, theirs in zip(found, TransformersEngine(dual_dir).generate(requests, sampling), strict=True):
        assert ours.token_ids == theirs.token_ids
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-3)


@needs_vllm
def test_adapter_beside_its_base_says_greedily_what_the_merged_model_says(dual_dir: Path, tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from latent_core.generate.transformers_engine import TransformersEngine
    from latent_core.models.adapter import merge_adapter

    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(dual_dir, dtype=torch.float32)
    config = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    adapted = get_peft_model(base, config)
    with torch.no_grad():  # as far from the base as a short training goes: its texts change and still end
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight *= 0.4
    adapted.save_pretrained(tmp_path / "adapter")
    merge_adapter(dual_dir, tmp_path / "adapter", tmp_path / "merged")
    requests = _requests(dual_dir)
    expected = TransformersEngine(tmp_path / "merged").generate(requests, GREEDY)
    assert expected != TransformersEngine(dual_dir).generate(requests, GREEDY)
    beside = VllmEngine(dual_dir, adapter_dir=tmp_path / "adapter")
    said = beside.generate(requests, GREEDY)
    beside.close()
    assert said == expected


def test_tensor_parallel_size_is_passed_on(dual_dir: Path) -> None:
    options = VllmConfig(tensor_parallel_size=2, gpu_memory_utilization=0.5)
    assert options.arguments() == {"tensor_parallel_size": 2, "gpu_memory_utilization": 0.5}


@needs_vllm
def test_samples_of_a_question_share_its_prefill(dual_dir: Path) -> None:
    first, other = _requests(dual_dir, 2)
    engine = VllmEngine(dual_dir)
    engine.generate([other], SAMPLED)
    step, cached = engine._llm.llm_engine.step, []

    def watched() -> Any:
        outputs = step()
        cached.extend(output.num_cached_tokens for output in outputs)
        return outputs

    engine._llm.llm_engine.step = watched
    engine.generate([Request(first.prompt_ids, seed) for seed in range(8)], SAMPLED)
    engine.close()
    whole_blocks = (len(first.prompt_ids) - 1) // 32 * 32
    assert whole_blocks > 0 and sorted(cached)[1:] == [whole_blocks] * 7


@needs_vllm
def test_engine_starts_in_a_process_that_has_used_numba(dual_dir: Path) -> None:
    ffi = pytest.importorskip("llvmlite.binding.ffi")
    engine = VllmEngine(dual_dir)
    assert len(engine.generate(_requests(dual_dir, 2), GREEDY)) == 2
    engine.close()
    assert sys.modules["llvmlite.binding.ffi"] is ffi
