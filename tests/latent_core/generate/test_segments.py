"""Batches in segments: the completions of plain `generate`, from fewer rows, in bounded memory."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from bench.batch_cache import one_call
from latent_core import prompts
from latent_core.benchmarks.word_problems import generate_problem
from latent_core.config.sampling import SamplingConfig
from latent_core.dual import build_dual
from latent_core.generate import batch_cache as cache_room
from latent_core.generate.batch_cache import ROOM, RoomyLayer, batch_cache
from latent_core.generate.engine import Request
from latent_core.generate.transformers_engine import TransformersEngine
from latent_core.models import tokens
from latent_core.models.readable import ReadableModel
from latent_core.models.source import open_model

GREEDY = SamplingConfig(max_new_tokens=150)
SAMPLED = SamplingConfig(max_new_tokens=150, temperature=1.4, top_k=20)


@pytest.fixture(scope="module")
def mini() -> Path:
    return open_model("latent-mini").directory


@pytest.fixture(scope="module")
def engine(mini: Path) -> TransformersEngine:
    return TransformersEngine(mini)


def _requests(mini: Path, count: int) -> list[Request]:
    """From 1 to 3 steps, so that lengths differ; every third row is unconstrained, where that matters."""
    model = ReadableModel.load(mini)
    found = []
    for index in range(count):
        text = prompts.render_prompt(
            generate_problem("test", index, difficulty=1 + index % 3).question, model.tokenizer, model.family
        )
        found.append(Request(tuple(tokens.encode(text, model.tokenizer)), seed=7 + index, constrained=index % 3 > 0))
    return found


def _whole(engine: TransformersEngine, requests: Sequence[Request], sampling: SamplingConfig) -> list[tuple[int, ...]]:
    """One call of `generate` for all rows until the last has ended, with transformers' own cache."""
    return one_call(engine, requests, sampling, cache=None)


class _Counted:
    """Notes the rows and positions of every pass of the model."""

    def __init__(self, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shapes: list[tuple[int, int]] = []
        forward = model.forward

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.shapes.append(tuple(kwargs["input_ids"].shape))
            return forward(*args, **kwargs)

        monkeypatch.setattr(model, "forward", counted)


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("dual", [False, True], ids=["plain", "dual"])
def test_batch_in_segments_has_the_completions_of_whole_calls(
    mini: Path, tmp_path: Path, sampling: SamplingConfig, dual: bool
) -> None:
    if dual:
        build_dual(mini, tmp_path / "dual")
    engine = TransformersEngine(tmp_path / "dual" if dual else mini)
    requests = _requests(mini, 12)
    found = [generation.token_ids for generation in engine.generate(requests, sampling)]
    assert found == _whole(engine, requests, sampling)
    assert len({len(ids) for ids in found}) > 4, "the rows ended together, so nothing was taken out"


def test_rows_that_have_ended_are_not_computed(
    mini: Path, engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = _Counted(engine.model, monkeypatch)
    found = engine.generate(_requests(mini, 16), GREEDY.model_copy(update={"max_new_tokens": 220}))
    lengths = [len(generation.token_ids) for generation in found]
    steps = [rows for rows, positions in counted.shapes if positions == 1]
    assert len(counted.shapes) == max(lengths) and len(steps) == max(lengths) - 1, "something was computed twice"
    assert sum(lengths) - len(lengths) <= sum(steps) < 1.15 * sum(lengths)
    assert sum(steps) < 0.8 * len(lengths) * max(lengths), "these rows end too evenly to show it"


def test_own_cache_of_a_model_is_kept_and_said_once(
    mini: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = TransformersEngine(mini).generate(_requests(mini, 6), GREEDY)
    monkeypatch.setattr(cache_room, "DynamicLayer", RoomyLayer)  # as if its layers were of a kind that is not known
    monkeypatch.setattr(cache_room, "_told", set())
    other = TransformersEngine(mini)
    with caplog.at_level(logging.WARNING):
        assert other.generate(_requests(mini, 6), GREEDY) == wanted
        assert other.generate(_requests(mini, 6), GREEDY) == wanted
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["Qwen3ForCausalLM keeps its own cache"]


def test_sliding_windows_keep_their_own_layers(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    config = engine.model.config
    monkeypatch.setattr(config, "sliding_window", 8)
    monkeypatch.setattr(config, "layer_types", ["sliding_attention", *["full_attention"] * 4])
    cache = batch_cache(engine.model, 100)
    assert cache is not None
    assert [type(layer) for layer in cache.layers] == [DynamicSlidingWindowLayer, *[RoomyLayer] * 4]


def test_layer_holds_what_a_dynamic_layer_holds_through_growth_and_selection() -> None:
    torch.manual_seed(0)
    plain, roomy = DynamicLayer(), RoomyLayer(longest=300)
    for new in (5, *[1] * (ROOM + 3)):
        keys, values = torch.randn(4, 2, new, 3), torch.randn(4, 2, new, 3)
        for one, other in zip(plain.update(keys, values), roomy.update(keys, values), strict=True):
            assert torch.equal(one, other)
        assert roomy.get_seq_length() == plain.get_seq_length()
    kept = torch.tensor([3, 1])
    plain.batch_select_indices(kept)
    roomy.batch_select_indices(kept)
    keys = values = torch.randn(2, 2, 1, 3)
    for one, other in zip(plain.update(keys, values), roomy.update(keys, values), strict=True):
        assert torch.equal(one, other)


def test_layer_takes_no_more_room_than_the_longest_sequence_and_is_not_copied_at_every_step() -> None:
    layer = RoomyLayer(longest=100)
    new = torch.zeros(1, 1, 1, 1)
    layer.update(new.expand(1, 1, 30, 1), new.expand(1, 1, 30, 1))
    places = set()
    for _ in range(70):
        keys, _ = layer.update(new, new)
        places.add(keys.untyped_storage().data_ptr())
        assert keys.untyped_storage().nbytes() <= 4 * 100
    assert len(places) <= 2


def test_cache_is_transformers_own_to_generate(engine: TransformersEngine) -> None:
    """What `generate` looks at: a DynamicCache, empty, that is not compiled for."""
    cache = batch_cache(engine.model, 100)
    assert isinstance(cache, DynamicCache) and cache.get_seq_length() == 0 and not cache.is_compileable
