"""The transformers engine on the embedded model: order, cutting, batch independence, and the dual constraint."""

from __future__ import annotations

import functools
import json
import logging
import shutil
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from latent_core import prompts
from latent_core.benchmarks.word_problems import generate_problem
from latent_core.config.sampling import LogprobsOf, SamplingConfig
from latent_core.dual import PhaseMachine, build_dual
from latent_core.errors import InputError
from latent_core.generate import batch_cache
from latent_core.generate.engine import Generation, Request
from latent_core.generate.transformers_engine import TransformersEngine
from latent_core.models import tokens
from latent_core.models.readable import ReadableModel
from latent_core.models.source import open_model

GREEDY = SamplingConfig(max_new_tokens=160)
SAMPLED = SamplingConfig(max_new_tokens=60, temperature=1.0)


@pytest.fixture(scope="module")
def mini() -> Path:
    return open_model("latent-mini").directory


@pytest.fixture(scope="module")
def model(mini: Path) -> ReadableModel:
    return ReadableModel.load(mini)


@pytest.fixture(scope="module")
def engine(mini: Path) -> TransformersEngine:
    return TransformersEngine(mini)


def _requests(model: ReadableModel, count: int = 6) -> list[Request]:
    requests = []
    for index in range(count):
        problem = generate_problem("test", index, difficulty=1 + index % 3)
        text = prompts.render_prompt(problem.question, model.tokenizer, model.family)
        requests.append(Request(tuple(tokens.encode(text, model.tokenizer)), seed=1000 + index))
    return requests


@pytest.mark.parametrize(
    ("stored", "asked", "held"),
    [
        ("float32", "auto", torch.bfloat16),
        ("float16", "auto", torch.float16),
        ("bfloat16", "auto", torch.bfloat16),
        ("float32", "float32", torch.float32),
    ],
)
def test_auto_on_a_gpu_is_the_checkpoints_type_but_for_float32(
    mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: str, asked: str, held: torch.dtype
) -> None:
    copy = Path(shutil.copytree(mini, tmp_path / "copy"))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"dtype": stored}))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(PreTrainedModel, "to", lambda model, *_: model)  # there is no GPU to go to
    assert TransformersEngine(copy, asked).model.dtype is held


def test_generation_settings_of_a_checkpoint_do_not_enter(
    engine: TransformersEngine, mini: Path, model: ReadableModel, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(mini, tmp_path / "copy"))
    wishes = {"repetition_penalty": 1.5, "no_repeat_ngram_size": 2, "suppress_tokens": [5], "eos_token_id": 1}
    (copy / "generation_config.json").write_text(json.dumps(wishes))
    other = TransformersEngine(copy)
    assert other.generate(_requests(model, 2), GREEDY) == engine.generate(_requests(model, 2), GREEDY)
    assert other.model.generation_config.repetition_penalty == 1.5  # as it was, for whoever saves the model


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_completion_does_not_depend_on_its_batch(
    engine: TransformersEngine, model: ReadableModel, sampling: SamplingConfig
) -> None:
    requests = _requests(model)
    together = engine.generate(requests, sampling)
    alone = [engine.generate([request], sampling)[0] for request in requests]
    small = engine.generate(requests[::-1], sampling.model_copy(update={"batch_tokens": 600}))[::-1]
    assert together == alone == small


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_streamed_completion_is_the_generated_one(
    engine: TransformersEngine, model: ReadableModel, sampling: SamplingConfig
) -> None:
    for request in _requests(model, 3):
        (generation,) = engine.generate([request], sampling)
        assert tuple(engine.stream(request, sampling)) == generation.token_ids


def test_two_streams_read_in_turn_do_not_disturb_each_other(engine: TransformersEngine, model: ReadableModel) -> None:
    first, second = _requests(model, 2)
    wanted = [generation.token_ids[:20] for generation in engine.generate([first, second], GREEDY)]
    pairs = list(islice(zip(engine.stream(first, GREEDY), engine.stream(second, GREEDY), strict=False), 20))
    assert [tuple(ids) for ids in zip(*pairs, strict=True)] == wanted


def test_samples_with_other_seeds_differ(engine: TransformersEngine, model: ReadableModel) -> None:
    request = _requests(model, 1)[0]
    many = engine.generate([Request(request.prompt_ids, seed) for seed in range(8)], SAMPLED)
    assert len({generation.token_ids for generation in many}) > 4


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("dual", [False, True], ids=["plain", "dual"])
def test_logprobs_are_those_of_a_plain_pass_over_the_same_tokens(
    mini: Path, model: ReadableModel, tmp_path: Path, sampling: SamplingConfig, dual: bool
) -> None:
    if dual:
        build_dual(mini, tmp_path / "dual")
    engine = TransformersEngine(tmp_path / "dual" if dual else mini)
    requests = _requests(model, 4)
    sampling = sampling.model_copy(update={"temperature": 2 * sampling.temperature})
    without = engine.generate(requests, sampling)
    found = engine.generate(requests, sampling.model_copy(update={"logprobs": True}))
    assert [(one.token_ids, one.finish_reason) for one in found] == [
        (one.token_ids, one.finish_reason) for one in without
    ]
    if sampling.temperature == 0:
        assert len({len(generation.token_ids) for generation in found}) > 1, "no row was padded"
    for request, generation in zip(requests, found, strict=True):
        ids = torch.tensor([[*request.prompt_ids, *generation.token_ids]])
        with torch.inference_mode():
            logprobs = engine.model(ids).logits[0].log_softmax(dim=-1)
        start = len(request.prompt_ids) - 1
        wanted = [float(logprobs[start + step, token]) for step, token in enumerate(generation.token_ids)]
        assert generation.logprobs == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("dual", [False, True], ids=["plain", "dual"])
@pytest.mark.parametrize(
    "drawn", [{"temperature": 0.0}, {"temperature": 0.7}, {"temperature": 1.6, "top_k": 40, "top_p": 0.8}], ids=str
)
def test_logprobs_of_the_sampler_are_those_of_what_was_drawn_from(
    mini: Path, model: ReadableModel, tmp_path: Path, drawn: dict[str, Any], dual: bool
) -> None:
    if dual:
        build_dual(mini, tmp_path / "dual")
    engine = TransformersEngine(tmp_path / "dual" if dual else mini)
    of_model = SamplingConfig(max_new_tokens=40, logprobs=True, **drawn)
    of_sampler = of_model.model_copy(update={"logprobs_of": LogprobsOf.SAMPLER})
    requests = _requests(model, 3)
    found, models = engine.generate(requests, of_sampler), engine.generate(requests, of_model)
    assert [one.token_ids for one in found] == [one.token_ids for one in models]
    if dual or drawn["temperature"]:
        assert [one.logprobs for one in found] != [one.logprobs for one in models]
    for request, generation in zip(requests, found, strict=True):
        assert generation.logprobs == pytest.approx(_drawn_from(engine, request, generation, **drawn), abs=1e-4)


def _drawn_from(
    engine: TransformersEngine,
    request: Request,
    generation: Generation,
    temperature: float,
    top_k: int = 0,
    top_p: float = 1.0,
) -> list[float]:
    """The log-probabilities of a completion, position by position, by their definition."""
    ids = [*request.prompt_ids, *generation.token_ids]
    with torch.inference_mode():
        logits = engine.model(torch.tensor([ids])).logits[0]
    found = []
    for place in range(len(request.prompt_ids), len(ids)):
        scores = logits[place - 1]
        if engine._machine is not None:
            phase = engine._machine.phase_of_prompt(ids[:place])
            scores = torch.where(torch.from_numpy(engine._machine.allowed[phase].copy()), scores, -torch.inf)
        shares = (scores / (temperature or 1.0)).softmax(0)
        values, order = shares.sort(descending=True)
        kept = top_k or len(values)
        values = values[:kept] / values[:kept].sum()
        values = values[values.cumsum(0) - values < top_p]
        rank = int((order == ids[place]).nonzero())
        found.append(float((values[rank] / values.sum()).log()))
    return found


@pytest.mark.parametrize("own_cache", [False, True], ids=["cache of the engine", "cache of the model"])
def test_completion_is_as_long_as_its_own_prompt_allows_whatever_the_widest_of_its_batch(
    mini: Path,
    model: ReadableModel,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    own_cache: bool,
) -> None:
    """Their positions would end there, had the model learned embeddings of them."""
    engine = TransformersEngine(mini)
    if own_cache:
        monkeypatch.setattr(batch_cache, "DynamicLayer", batch_cache.RoomyLayer)  # as if its layers were not known
    reminders = logging.getLogger("transformers.generation.stopping_criteria")
    monkeypatch.setattr(reminders, "handlers", [caplog.handler])
    type(reminders).warning_once.cache_clear()  # type: ignore[attr-defined]  # transformers', which warns but once
    monkeypatch.setattr(engine.model.config, "max_position_embeddings", 64)
    short = _requests(model, 1)[0]
    sizes = [20, 45, 60]
    requests = [Request(short.prompt_ids[-size:], short.seed) for size in sizes]
    monkeypatch.setattr(engine, "_context", 64)
    monkeypatch.setattr(engine, "_stop_ids", (engine.model.config.vocab_size - 1,))  # none of these rows draws it
    reached = 0
    forward = engine.model.forward

    @functools.wraps(forward)  # `generate` gives positions to those whose signature has them
    def watched(*args: Any, **kwargs: Any) -> Any:
        nonlocal reached
        reached = max(reached, int(kwargs["position_ids"].max()))
        return forward(*args, **kwargs)

    monkeypatch.setattr(engine.model, "forward", watched)
    sampling = SAMPLED.model_copy(update={"max_new_tokens": 30, "logprobs": True})
    together = engine.generate(requests, sampling)
    assert [len(generation.token_ids) for generation in together] == [30, 19, 4]
    assert reached < 64
    assert not [record for record in caplog.records if "friendly reminder" in record.getMessage()]
    alone = [engine.generate([request], sampling)[0] for request in requests]
    assert [one.token_ids for one in together] == [one.token_ids for one in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.finish_reason == other.finish_reason == "length"
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_completions_of_a_batch_are_reported_together(engine: TransformersEngine, model: ReadableModel) -> None:
    ended: list[Mapping[int, Generation]] = []
    sampling = SamplingConfig(max_new_tokens=5)
    found = engine.generate(_requests(model, 4), sampling, ended.append)
    assert ended == [dict(enumerate(found))]  # one by one, the first would say that 1 of 4 took as long as all


def test_finished_completion_ends_with_its_stop_token(engine: TransformersEngine, model: ReadableModel) -> None:
    (generation,) = engine.generate(_requests(model, 1), GREEDY)
    assert generation.finish_reason == "stop"
    assert [token in model.family.stop_ids for token in generation.token_ids].index(True) == (
        len(generation.token_ids) - 1
    )


def test_completion_at_the_limit_is_cut_and_says_so(engine: TransformersEngine, model: ReadableModel) -> None:
    (generation,) = engine.generate(_requests(model, 1), SamplingConfig(max_new_tokens=5))
    assert generation.finish_reason == "length" and len(generation.token_ids) == 5


def test_prompt_over_the_context_raises(engine: TransformersEngine) -> None:
    with pytest.raises(InputError, match="does not fit its context"):
        engine.generate([Request((5,) * 2000, 0)], GREEDY)
    with pytest.raises(InputError, match="does not fit its context"):
        next(engine.stream(Request((5,) * 2000, 0), GREEDY))


def test_untrained_dual_model_reasons_in_mirrors_of_what_its_base_says(
    mini: Path, model: ReadableModel, engine: TransformersEngine, tmp_path: Path
) -> None:
    build_dual(mini, tmp_path / "dual")
    dual = ReadableModel.load(tmp_path / "dual")
    assert dual.vocabulary is not None
    requests = _requests(model)
    constrained = TransformersEngine(tmp_path / "dual").generate(requests, GREEDY)
    machine = PhaseMachine(dual.vocabulary)
    for request, generation, base in zip(requests, constrained, engine.generate(requests, GREEDY), strict=True):
        assert machine.violations(request.prompt_ids, generation.token_ids).size == 0
        assert dual.vocabulary.to_visible(generation.token_ids).tolist() == list(base.token_ids)
        assert dual.latent_count(generation.token_ids) > 20
