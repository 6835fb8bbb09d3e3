"""What ends a completion: the turn's end, the tokenizer's eos, and what generation_config.json names."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from latent_core.benchmarks.problem import Problem
from latent_core.config.sampling import OpenAiConfig, SamplingConfig
from latent_core.dual import DualVocabulary, Phase, build_dual
from latent_core.errors import InputError
from latent_core.generate import vllm_engine
from latent_core.generate.completions import graded_completions
from latent_core.generate.engine import Generation, Request
from latent_core.generate.openai_engine import OpenAiEngine
from latent_core.generate.transformers_engine import TransformersEngine
from latent_core.generate.vllm_engine import VllmEngine
from latent_core.models.chat import chat_model_fingerprint
from latent_core.models.family import open_family, stop_ids_in
from latent_core.models.readable import ReadableModel
from latent_core.models.source import open_model
from latent_core.models.tokens import encode
from latent_core.prompts import render_prompt, render_target
from tests.support import conversations as written
from tests.support.conversations import model_dir_of, tokenizer_of

PROBLEM = Problem("q", "How many?", "7")
OTHER_END = "<|call|>"  # of the tokenizer below: neither its eos nor its turn's end
GREEDY = SamplingConfig(max_new_tokens=40)


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    """A model whose generation_config.json names a second end beside the turn's."""
    tokenizer = written.small_tokenizer(
        written.CHATML, [*written.SPECIAL["chatml"], OTHER_END], written.THINK, **written.NAMED["chatml"]
    )
    ends = tokenizer.convert_tokens_to_ids(["<|im_end|>", OTHER_END])
    return model_dir_of(tmp_path / "model", tokenizer, eos=ends)


def ended_otherwise(model: ReadableModel) -> tuple[int, ...]:
    """A right answer whose last token is the second end."""
    target = render_target("3 + 4 is 7", "7", model.family).removesuffix(model.family.end_of_turn)
    return tuple(encode(target + OTHER_END, model.tokenizer))


class Scripted:
    """A causal model's `generate` that says the same to everyone, until one of the ids that it was told to stop at.

    As the real one does, it asks the stopping criteria after every token.
    """

    def __init__(self, ids: tuple[int, ...], inner: Any) -> None:
        self.ids, self._inner = ids, inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def generate(self, *, input_ids: Any, generation_config: Any, stopping_criteria: Any, **_: Any) -> Any:
        import torch

        said = [*self.ids, *self.ids][: generation_config.max_new_tokens]
        ends = [place for place, token in enumerate(said) if token in generation_config.eos_token_id]
        said = said[: ends[0] + 1] if ends else said
        output = torch.cat([input_ids, torch.tensor([said] * len(input_ids))], dim=1)
        for end in range(input_ids.shape[1] + 1, output.shape[1] + 1):
            stopping_criteria(output[:, :end], None)
        return output


def with_transformers(directory: Path, ids: tuple[int, ...]) -> Any:
    engine = TransformersEngine(directory)
    engine.model = Scripted(ids, engine.model)
    return engine


@pytest.fixture
def vllm_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of vLLM what a request's parameters need: they are kept as they are."""
    monkeypatch.setattr(vllm_engine, "find_spec", lambda name: True)
    package, parameters = ModuleType("vllm"), ModuleType("vllm.sampling_params")
    package.SamplingParams = SimpleNamespace  # type: ignore[attr-defined]
    parameters.RequestOutputKind = SimpleNamespace(FINAL_ONLY=0)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", package)
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", parameters)


def with_vllm(directory: Path, ids: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The engine over a scheduler that says `ids` to each request until a stop token of its parameters."""
    engine = VllmEngine(directory)
    monkeypatch.setattr(engine, "_require_length", lambda requests, sampling: None)
    outputs: list[Any] = []

    def add_request(name: str, prompt: Any, parameters: Any, lora_request: Any) -> None:
        said = [*ids, *ids][: parameters.max_tokens]
        ends = [place for place, token in enumerate(said) if token in parameters.stop_token_ids]
        completion = SimpleNamespace(
            token_ids=said[: ends[0] + 1] if ends else said,
            finish_reason="stop" if ends else "length",
            logprobs=None,
        )
        outputs.append(SimpleNamespace(finished=True, request_id=name, outputs=[completion]))

    scheduler = SimpleNamespace(
        add_request=add_request,
        has_unfinished_requests=lambda: bool(outputs),
        step=lambda: [outputs.pop(0)],
        abort_request=lambda names: None,
    )
    engine._llm = SimpleNamespace(llm_engine=scheduler)
    return engine


def with_openai(directory: Path, ids: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The engine over a server that says `ids` until one of the request's stop ids."""
    engine = OpenAiEngine(directory, OpenAiConfig(served_model="m"))

    async def post(client: Any, body: dict[str, Any]) -> dict[str, Any]:
        said = [*ids, *ids][: body["max_tokens"]]
        ends = [place for place, token in enumerate(said) if token in body["stop_token_ids"]]
        said = said[: ends[0] + 1] if ends else said
        return {"choices": [{"text": "", "token_ids": said, "finish_reason": "stop" if ends else "length"}]}

    monkeypatch.setattr(engine, "_post", post)
    return engine


@pytest.mark.parametrize("kind", ["transformers", "vllm", "openai"])
@pytest.mark.usefixtures("vllm_installed")
def test_right_answer_that_ends_in_the_second_stop_id_is_correct_and_not_cut(
    kind: str, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ReadableModel.load(model_dir)
    ids = ended_otherwise(model)
    sampling = SamplingConfig(max_new_tokens=len(ids) + 20)
    engine = {
        "transformers": lambda: with_transformers(model_dir, ids),
        "vllm": lambda: with_vllm(model_dir, ids, monkeypatch),
        "openai": lambda: with_openai(model_dir, ids, monkeypatch),
    }[kind]()
    (row,) = graded_completions([PROBLEM], model, engine, sampling, benchmark="word_problems")
    assert (row["verdict"], row["finish_reason"], row["reasoning"]) == ("correct", "stop", "3 + 4 is 7")
    assert tuple(row["output_token_ids"]) == ids
    assert OTHER_END not in row["completion"]


def test_transformers_generates_and_streams_to_the_second_stop_id(model_dir: Path, tmp_path: Path) -> None:
    model = ReadableModel.load(model_dir)
    prompt = tuple(encode(render_prompt("How many?", model.tokenizer, model.family), model.tokenizer))
    request = Request(prompt, seed=1)
    (free,) = TransformersEngine(model_dir).generate([request], GREEDY)
    said = next(token for token in free.token_ids if token not in model.family.stop_ids)
    path = model_dir / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": [2, said]}))
    engine = TransformersEngine(model_dir)
    expected = free.token_ids[: free.token_ids.index(said) + 1]
    assert engine.generate([request], GREEDY) == [Generation(expected, "stop")]
    assert tuple(engine.stream(request, GREEDY)) == expected


def test_targets_still_end_in_the_turns_end(model_dir: Path) -> None:
    model = ReadableModel.load(model_dir)
    assert encode(render_target("R", "7", model.family), model.tokenizer)[-1] == model.family.end_of_turn_id == 2


def test_dual_model_never_samples_a_latent_that_mirrors_any_stop_id(model_dir: Path, tmp_path: Path) -> None:
    build_dual(model_dir, tmp_path / "dual")
    built = DualVocabulary.load(tmp_path / "dual")
    _, family = open_family(tmp_path / "dual")
    assert set(family.stop_ids) <= set(built.eos_ids) and not set(family.stop_ids) & set(built.source_ids)
    # A dual model from elsewhere may mirror everything, and know fewer ends.
    mirrored = DualVocabulary(built.visible_size, tuple(range(built.visible_size)), *built.think_ids, (2,))
    mirrored.save(tmp_path / "dual")
    engine = TransformersEngine.around(
        SimpleNamespace(device=SimpleNamespace(type="cpu"), config=None), tmp_path / "dual"
    )
    machine = engine._machine
    assert machine is not None
    clones = [built.visible_size + end for end in family.stop_ids]
    assert len(clones) == 2 and not machine.allowed[Phase.THINK][clones].any()
    for phase in (Phase.START, Phase.ANSWER, Phase.PLAIN):
        assert machine.allowed[phase][list(family.stop_ids)].all()


def test_second_stop_id_is_identity_of_a_model_and_the_turns_end_is_not(model_dir: Path, tmp_path: Path) -> None:
    assert chat_model_fingerprint(str(model_dir)) != open_model(str(model_dir)).fingerprint
    usual = model_dir_of(tmp_path / "usual", tokenizer_of(written.CHATML, plain=()), eos=[2])
    assert chat_model_fingerprint(str(usual)) == open_model(str(usual)).fingerprint


@pytest.mark.parametrize("said", ["2", [2, "3"], True, -1, {"a": 2}, [2.5]])
def test_stop_id_that_is_none_is_refused(said: Any, tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": said}))
    with pytest.raises(InputError, match=r"eos_token_id in .*generation_config\.json is .*; give a token id"):
        stop_ids_in(tmp_path)


def test_stop_ids_of_config_json_count_where_generation_config_names_none(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": [5, 3]}))
    assert stop_ids_in(tmp_path) == (3, 5)
    (tmp_path / "generation_config.json").write_text(json.dumps({"do_sample": True}))
    assert stop_ids_in(tmp_path) == (3, 5)
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": 7}))
    assert stop_ids_in(tmp_path) == (7,)
